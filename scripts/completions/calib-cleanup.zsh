#compdef calib-cleanup

# The ids in the database that the line names so far; nothing where it cannot be read.
_calib_cleanup_session_ids() {
  local -a place ids expl
  local word option
  for word in ${words[2,CURRENT-1]}; do
    # As the shell would read it; nothing is expanded but a home folder.
    word=${(Q)word}
    if [[ -n $option ]]; then
      place+=("$option=${word/#\~\//$HOME/}")
      option=
    elif [[ $word == (--app-dir|--database|--config) ]]; then
      option=$word
    elif [[ $word == (--app-dir|--database|--config)=* ]]; then
      place+=("${word/=\~\//=$HOME/}")
    fi
  done
  ids=(${(f)"$(_call_program session-ids calib-cleanup --dry-run --complete-sessions ${(q)place} 2>/dev/null)"})
  _wanted session-ids expl 'session' compadd -a ids
}

_arguments -s \
  '(--orphans-only --session)--hours=[delete sessions created more than N hours ago]:hours: ' \
  '(--hours --session)--orphans-only[remove only what has no session]' \
  '(--hours --orphans-only)*--session=[delete this session now]:session:_calib_cleanup_session_ids' \
  '*--keep=[never delete this session by age]:session:_calib_cleanup_session_ids' \
  "--app-dir=[the app's root folder]:folder:_files -/" \
  '--database=[the session database]:database:_files' \
  '--uploads=[the uploads folder]:folder:_files -/' \
  '--config=[read options from a TOML file]:file:_files' \
  '(-n --dry-run)'{-n,--dry-run}'[change nothing; list what would go]' \
  '(-y --yes)'{-y,--yes}'[do not ask]' \
  '--max-delete=[delete nothing if more than N would go]:number: ' \
  '--orphan-grace=[leave younger directories without a session alone]:minutes: ' \
  '--lock-wait=[how long to wait for another pass or a lock]:seconds: ' \
  '(-j --jobs)'{-j+,--jobs=}'[threads that delete and measure]:number: ' \
  "--vacuum[give the database's free pages back]" \
  '--json[one JSON document instead of text]' \
  '--metrics=[write Prometheus metrics]:file:_files' \
  '(-q --quiet -v --verbose)'{-q,--quiet}'[print only warnings and errors]' \
  '(-q --quiet -v --verbose)'{-v,--verbose}'[name each session and directory]' \
  '--progress=[progress on stderr]:when:(auto always never)' \
  '--color=[colors]:when:(auto always never)' \
  '(- *)'{-h,--help}'[print a summary of the options]' \
  '(- *)'{-V,--version}'[print name and version]'
