# What the operator of a coordinator does: register the sites' keys, start a run or go on with it.
set -eu
case $1 in
  register)
    known=$(flwr supernode list here --format json)
    for key in /state/nodes/*.pub; do
      name=$(basename "$key" .pub)
      case $known in *"\"$name\""*) continue ;; esac
      flwr supernode register "$key" here --name "$name"
    done ;;
  run)
    resume=
    if [ -e /results/run/run.json ]; then
      if grep -q '"status": "finished"' /results/run/run.json; then
        echo "results/run holds a finished run: move it away for another"
        exit 0
      fi
      resume=--resume
    fi
    exec syncytium run /opt/syncytium/conf/correct.toml --superlink here --out /results/run $resume \
      --set n-sites=4 --set min-sites=3 --set on-site-error=wait ;;
esac
