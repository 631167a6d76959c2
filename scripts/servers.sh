#!/usr/bin/env bash
# Get the real servers that the integration tests run against, into .servers/ of this checkout.
#
#   scripts/servers.sh                    all of them
#   scripts/servers.sh kafka influxdb     some of them
#
#   kafka     Apache Kafka, as Maven artefacts              needs java 17 or newer, mvn
#   influxdb  InfluxDB 1.x, built from its Go module        needs go, cargo, a C compiler; some five minutes the first time
#   nodeopcua node-opcua, an OPC UA server, from npm        needs node 20 or newer, npm
#   grafana   grafana-api and grafana-client, from PyPI     needs python 3 with pip; each in a folder of its own
#   peers     field-bus peers, a browser and a CJK font,    Debian packages; installs them when it is run as root
#             PostgreSQL, Alertmanager                      (Debian starts what it installs; the tests run their own)
#
# What is there already is left alone, so it can be run again at any time. It ends with an error if anything asked for is missing.
set -uo pipefail

readonly KAFKA_VERSION=4.1.2
readonly INFLUXDB_VERSION=v1.13.2
readonly INFLUXDB_PKG_CONFIG_VERSION=v0.3.0
readonly NODE_OPCUA_VERSION=2.186.4
readonly GRAFANA_API_VERSION=1.0.3
readonly GRAFANA_CLIENT_VERSION=5.1.4
readonly PEERS="mbpoll libmodbus-dev socat chromium fonts-noto-cjk postgresql prometheus-alertmanager"

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
servers=$root/.servers
missing=()

say() { printf '%-9s %s\n' "$1" "$2"; }
lack() { say "$1" "MISSING: $2"; missing+=("$1"); }
have() { command -v "$1" >/dev/null 2>&1; }

kafka() {
    local home=$servers/kafka
    local libs=$home/libs-$KAFKA_VERSION
    if [[ -e $libs/.complete ]]; then
        say kafka "$KAFKA_VERSION is in $libs"
        return
    fi
    have java || { lack kafka "java is not here; install a JRE of version 17 or newer (apt-get install openjdk-17-jre-headless)"; return; }
    have mvn || { lack kafka "mvn is not here; install Maven (apt-get install maven)"; return; }
    mkdir -p "$home"
    cat >"$home/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>gridfuse</groupId><artifactId>kafka-for-tests</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
EOF
    rm -rf "$libs"
    if ! mvn -q -B -f "$home/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$libs" -DincludeScope=runtime; then
        lack kafka "Maven could not fetch org.apache.kafka:kafka_2.13:$KAFKA_VERSION; see its message above"
        return
    fi
    # Another binding of slf4j would win over slf4j-simple, and the broker would log nothing.
    rm -f "$libs"/slf4j-reload4j-*.jar
    touch "$libs/.complete"
    say kafka "$KAFKA_VERSION: $(find "$libs" -name '*.jar' | wc -l) jars in $libs"
}

influxdb() {
    local bin=$servers/bin
    if [[ -x $bin/influxd ]]; then
        say influxdb "$bin/influxd"
        return
    fi
    local tool
    for tool in go cargo cc; do
        have "$tool" || { lack influxdb "$tool is not here; the build needs Go, Rust and a C compiler"; return; }
    done
    mkdir -p "$bin"
    # flux, a part of InfluxDB, builds a Rust library and asks for one certain toolchain; the one that is installed does as well.
    if have rustup && [[ -z ${RUSTUP_TOOLCHAIN:-} ]]; then
        RUSTUP_TOOLCHAIN=$(rustup default 2>/dev/null | cut -d ' ' -f 1)
        export RUSTUP_TOOLCHAIN
    fi
    # Its own pkg-config tells Go where that library is; it stands in for the system's, which it calls in turn.
    if ! GOBIN=$bin go install "github.com/influxdata/pkg-config@$INFLUXDB_PKG_CONFIG_VERSION"; then
        lack influxdb "go could not build github.com/influxdata/pkg-config; see its message above"
        return
    fi
    mv -f "$bin/pkg-config" "$bin/pkg-config-flux"
    if ! PKG_CONFIG=$bin/pkg-config-flux GOBIN=$bin go install "github.com/influxdata/influxdb/cmd/influxd@$INFLUXDB_VERSION"; then
        lack influxdb "go could not build influxd $INFLUXDB_VERSION; see its message above"
        return
    fi
    say influxdb "$bin/influxd"
}

nodeopcua() {
    local home=$servers/node-opcua
    if [[ -e $home/.complete-$NODE_OPCUA_VERSION ]]; then
        say nodeopcua "$NODE_OPCUA_VERSION is in $home"
        return
    fi
    have npm || { lack nodeopcua "npm is not here; install Node.js 20 or newer with npm (apt-get install npm)"; return; }
    mkdir -p "$home"
    printf '{"name": "node-opcua-for-tests", "version": "1.0.0", "private": true}\n' >"$home/package.json"
    # Without its optional packages, which are native and speed up nothing that is tested here.
    if ! (cd "$home" && npm install --no-audit --no-fund --omit=optional --loglevel=error "node-opcua@$NODE_OPCUA_VERSION"); then
        lack nodeopcua "npm could not install node-opcua@$NODE_OPCUA_VERSION; see its message above"
        return
    fi
    touch "$home/.complete-$NODE_OPCUA_VERSION"
    say nodeopcua "$NODE_OPCUA_VERSION is in $home"
}

# Never into an environment that anything else uses: grafana-client replaces urllib3 there, grafana-api brings a package named `test`.
grafana() {
    local python=$root/.venv/bin/python package
    [[ -x $python ]] || python=$(command -v python3) || { lack grafana "python3 is not here; install Python 3.11 or newer"; return; }
    for package in "grafana-api==$GRAFANA_API_VERSION" "grafana-client==$GRAFANA_CLIENT_VERSION"; do
        local home=$servers/${package%%=*}
        if [[ -e $home/.complete && $(<"$home/.complete") == "$package" ]]; then
            say grafana "$package is in $home"
            continue
        fi
        rm -rf "$home"
        if ! "$python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --target "$home" "$package"; then
            lack grafana "pip could not install $package; see its message above"
            return
        fi
        printf '%s' "$package" >"$home/.complete"
        say grafana "$package: $home"
    done
}

peers() {
    local package wanted=()
    have dpkg-query || { lack peers "this is no Debian; install by hand: $PEERS"; return; }
    for package in $PEERS; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || wanted+=("$package")
    done
    if ((${#wanted[@]} > 0)); then
        if ((EUID != 0)); then
            lack peers "run as root: apt-get install -y ${wanted[*]}"
            return
        fi
        if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}"; }; then
            lack peers "apt-get could not install ${wanted[*]}; see its message above"
            return
        fi
    fi
    say peers "$PEERS"
}

(($# > 0)) || set -- kafka influxdb nodeopcua grafana peers
for server in "$@"; do
    case $server in
        kafka | influxdb | nodeopcua | grafana | peers) "$server" ;;
        *)
            echo "servers.sh: unknown server '$server'; know kafka, influxdb, nodeopcua, grafana and peers" >&2
            exit 2
            ;;
    esac
done
if ((${#missing[@]} > 0)); then
    echo "servers.sh: not to be had: ${missing[*]}" >&2
    exit 1
fi
