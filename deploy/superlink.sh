# The coordinator's SuperLink. It keeps its nodes in memory, which is faster than a database by half:
# whenever it starts, the sites' keys in $NODES are registered anew. Arguments are flower-superlink's.
set -eu
mkdir -p "$HOME/.flwr"
cp /opt/flwr.toml "$HOME/.flwr/config.toml"
TLS=${TLS:-/coordinator/tls} NODES=${NODES:-/coordinator/nodes}
# Flower would serve one that no site takes.
syncytium certs --check --out "$TLS"
register() {
  until python /opt/healthcheck.py 127.0.0.1:9099 2>/dev/null; do sleep 1; done
  for key in "$NODES"/*.pub; do
    [ ! -e "$key" ] || flwr supernode register "$key" here --name "$(basename "$key" .pub)"
  done
  touch /tmp/registered
}
rm -f /tmp/registered
register &
exec flower-superlink --ssl-ca-certfile "$TLS"/ca.crt --ssl-certfile "$TLS"/server.crt --ssl-keyfile "$TLS"/server.key \
  --host 127.0.0.1 --port 8000 --fleet-api-address 0.0.0.0:9092 --enable-supernode-auth \
  --disable-runtime-dependency-installation --health-server-address 127.0.0.1:9099 "$@"
