# fish completion for calib-cleanup

# The ids in the database that the line names so far; nothing where it cannot be read.
function __calib_cleanup_session_ids
    set -l place
    set -l option
    for word in (commandline -opc)[2..]
        if set -q option[1]
            set -a place "$option="(string replace -r '^~/' "$HOME/" -- $word)
            set -e option
        else if contains -- $word --app-dir --database --config
            set option $word
        else if string match -qr '^--(app-dir|database|config)=' -- $word
            set -a place (string replace -r '=~/' "=$HOME/" -- $word)
        end
    end
    calib-cleanup --dry-run --complete-sessions $place 2>/dev/null </dev/null
end

complete -c calib-cleanup -f
complete -c calib-cleanup -l hours -x -d 'Delete sessions created more than N hours ago'
complete -c calib-cleanup -l orphans-only -d 'Remove only what has no session'
complete -c calib-cleanup -l session -x -a '(__calib_cleanup_session_ids)' -d 'Delete this session now'
complete -c calib-cleanup -l keep -x -a '(__calib_cleanup_session_ids)' -d 'Never delete this session by age'
complete -c calib-cleanup -l app-dir -x -a '(__fish_complete_directories)' -d "The app's root folder"
complete -c calib-cleanup -l database -r -F -d 'The session database'
complete -c calib-cleanup -l uploads -x -a '(__fish_complete_directories)' -d 'The uploads folder'
complete -c calib-cleanup -l config -r -F -d 'Read options from a TOML file'
complete -c calib-cleanup -s n -l dry-run -d 'Change nothing; list what would go'
complete -c calib-cleanup -s y -l yes -d 'Do not ask'
complete -c calib-cleanup -l max-delete -x -d 'Delete nothing if more than N would go'
complete -c calib-cleanup -l orphan-grace -x -d 'Leave younger directories without a session alone'
complete -c calib-cleanup -l lock-wait -x -d 'How many seconds to wait for another pass or a lock'
complete -c calib-cleanup -s j -l jobs -x -d 'Threads that delete and measure'
complete -c calib-cleanup -l vacuum -d "Give the database's free pages back"
complete -c calib-cleanup -l json -d 'One JSON document instead of text'
complete -c calib-cleanup -l metrics -r -F -d 'Write Prometheus metrics'
complete -c calib-cleanup -s q -l quiet -d 'Print only warnings and errors'
complete -c calib-cleanup -s v -l verbose -d 'Name each session and directory'
complete -c calib-cleanup -l progress -x -a 'auto always never' -d 'Progress on stderr'
complete -c calib-cleanup -l color -x -a 'auto always never' -d Colors
complete -c calib-cleanup -s h -l help -d 'Print a summary of the options'
complete -c calib-cleanup -s V -l version -d 'Print name and version'
