# Looks up what an SDK sent, for the scripts beside it.
#
# Needs curl, an API token in BELVEDERE_TOKEN, the server's address in BELVEDERE_ADDRESS and the project's number or
# slug in BELVEDERE_PROJECT.

# shows PATH PATTERN: whether the API's answer at PATH matches PATTERN, a regular expression, within 20 s.
shows() {
    local url="$BELVEDERE_ADDRESS/api/v1/$1" answer='' tries
    [[ $url == *\?* ]] && url+='&' || url+='?'
    for ((tries = 0; tries < 40; tries++)); do
        answer=$(curl --silent --header "Authorization: Bearer $BELVEDERE_TOKEN" "${url}project=$BELVEDERE_PROJECT")
        if [[ $answer =~ $2 ]]; then
            return 0
        fi
        sleep 0.5
    done
    echo "no $2 in the answer of /api/v1/$1: ${answer:0:500}" >&2
    return 1
}

# check_in ID STATUS: the pattern of a run in a list of check-ins; ID may be a pattern.
check_in() {
    echo "\"check_in_id\":\"$1\",[^}]*\"status\":\"$2\""
}
