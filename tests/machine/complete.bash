# What bash offers: complete.bash COMPLETIONS LINE
. "$1"
line=$2

# As readline hands it over: words break at blanks, and '=' and ':' are words of their own.
COMP_WORDS=() word=
for ((at = 0; at < ${#line}; at++)); do
  c=${line:at:1}
  case $c in
    \\) word+=${line:at:2} at=$((at + 1)) ;;
    ' ') [ -z "$word" ] || COMP_WORDS+=("$word"); word= ;;
    [=:]) [ -z "$word" ] || COMP_WORDS+=("$word"); COMP_WORDS+=("$c"); word= ;;
    *) word+=$c ;;
  esac
done
COMP_WORDS+=("$word")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE=$line COMP_POINT=${#line}
compopt() { :; }  # of the readline that is not there
"$(complete -p calib-cleanup | sed -E 's/.*-F ([^ ]+) .*/\1/')" calib-cleanup
printf '%s\n' "${COMPREPLY[@]}"
