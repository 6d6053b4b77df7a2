# What zsh offers: complete.zsh FOLDER LINE, with the completion function _calib-cleanup in FOLDER.
# A second zsh edits the line on a terminal of its own; what it would list comes from compadd.
# Those of its calls that only ask what fits (-O, -A, -D) are left alone.
zmodload zsh/zpty
export COMPLETIONS=$1
line=$2
inner=$(cat <<'END'
PS1= PS2=
stty -echo cols 200 rows 100
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {
  if [[ -n ${(M)@:#-[OAD]*} ]]; then builtin compadd "$@"; return; fi
  local -a hits
  builtin compadd -A hits "$@"
  (( $#hits )) && print -rl -- OFFER:$^hits
  builtin compadd "$@"
}
offer() { zle complete-word; print -r -- OFFERS:''END; zle kill-whole-line }
zle -N offer
bindkey '^I' offer
print READY:''NOW
END
)
# wait_for TEXT: prints what comes, until TEXT does.
wait_for() {
  local text
  while zpty -r shell text; do
    print -r -- "$text"
    [[ $text == *$1* ]] && return
  done
}
zpty shell zsh -f -i
zpty -w shell "$inner"
wait_for READY:NOW >/dev/null
zpty -w -n shell "$line"$'\t'
wait_for OFFERS:END | tr -d '\r' | grep -o 'OFFER:[^ ]*' | sed 's/^OFFER://; s/=$//'
zpty -d shell
