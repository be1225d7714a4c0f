# The run of docker-compose.yml: a new one, or on with one that stopped. Arguments are `syncytium run`'s.
set -eu
mkdir -p "$HOME/.flwr"
cp /opt/flwr.toml "$HOME/.flwr/config.toml"
resume=
if [ -e /results/run/run.json ]; then
  if grep -q '"status": "finished"' /results/run/run.json; then
    echo "results/run holds a finished run: move it away for another"
    exit 0
  fi
  resume=--resume
fi
exec syncytium run /opt/syncytium/conf/correct.toml --superlink here --out /results/run $resume \
  --set n-sites=4 --set min-sites=3 --set on-site-error=wait "$@"
