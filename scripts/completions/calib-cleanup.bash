# bash completion for calib-cleanup

# The ids in the database that the line names so far; nothing where it cannot be read.
_calib_cleanup_session_ids() {
  "$1" --dry-run --complete-sessions "${@:2}" 2>/dev/null </dev/null
}

_calib_cleanup() {
  COMPREPLY=()
  # Readline breaks words at '=' and ':'; put `--name=value` together again.
  local words=() word i glued=
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == = && ${#words[@]} -gt 0 && ${words[-1]} == --* ]]; then
      words[-1]+== glued=1
    elif [[ $glued ]]; then
      words[-1]+=$word glued=
    else
      words+=("$word")
    fi
  done
  local last=$((${#words[@]} - 1))
  local current=${words[last]} option=
  if [[ $current == --*=* ]]; then
    option=${current%%=*}
    current=${current#*=}
  elif ((last > 1)); then
    option=${words[last - 1]}
  fi

  case $option in
    --session | --keep)
      local place=() value
      for ((i = 1; i < last; i++)); do
        case ${words[i]} in
          --app-dir | --database | --config) value=${words[++i]} word=${words[i - 1]} ;;
          --app-dir=* | --database=* | --config=*) value=${words[i]#*=} word=${words[i]%%=*} ;;
          *) continue ;;
        esac
        # As the shell would read it; nothing is expanded but a home folder.
        value=${value//[\"\'\\]/}
        [[ $value == "~/"* ]] && value=$HOME/${value#\~/}
        place+=("$word=$value")
      done
      while IFS= read -r value; do
        [[ $value == "$current"* ]] && COMPREPLY+=("$value")
      done < <(_calib_cleanup_session_ids "$1" "${place[@]}")
      return
      ;;
    --app-dir | --uploads)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -d -- "$current")
      return
      ;;
    --database | --config | --metrics)
      compopt -o filenames
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    --progress | --color)
      mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$current")
      return
      ;;
    # A number, that nobody can guess.
    --hours | --max-delete | --orphan-grace | --lock-wait | --jobs | -j) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "--hours --orphans-only --session --keep --app-dir --database
    --uploads --config --dry-run --yes --max-delete --orphan-grace --lock-wait --jobs --vacuum --json
    --metrics --quiet --verbose --progress --color --help --version
    -n -y -j -q -v -h -V" -- "$current")
}
complete -F _calib_cleanup calib-cleanup
