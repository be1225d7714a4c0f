# What the operator of a coordinator does: register the sites' keys, start a run.
set -eu
case $1 in
  register)
    for key in /state/nodes/*.pub; do
      name=$(basename "$key" .pub)
      flwr supernode list here --format json | grep -q "\"$(cut -d' ' -f2 "$key")\"" && continue
      flwr supernode register "$key" here --name "$name"
    done ;;
  run)
    exec syncytium run /opt/syncytium/conf/correct.toml --superlink here --out /results/run \
      --set n-sites=4 --set min-sites=3 ;;
esac
