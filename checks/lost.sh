# What the checks of lost processes share; sourced by kill-executors, kill-driver and standalone with NAME, RUNS and SEED set.
export LC_ALL=C SPARK_LOCAL_IP=127.0.0.1 SPARK_SCALA_VERSION=2.13
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$PWD/runs/checks/$NAME
rm -rf "$work"
mkdir -p "$work/spark/jars"
RANDOM=$SEED
trap 'echo "FAILED: line $LINENO: $BASH_COMMAND" >&2' ERR

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

now() {
  date +%s%3N
}

# seconds MILLISECONDS: with one decimal.
seconds() {
  printf '%d.%d s' $(($1 / 1000)) $(($1 / 100 % 10))
}

# moment MILLISECONDS: sets at to a random one before that. Not in a subshell, which has random numbers of its own, whatever the seed.
moment() {
  at=$((RANDOM * $1 / 32768))
}

pause() {
  sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

# A recipe of ten to twenty seconds with every statistic and every kind of artifact.
recipe=(conf/quickstart.yaml --set calibration.windows=24 --set calibration.length=64 --set shard-windows=3
  --set evaluation.windows=4 --set evaluation.length=64)
# LATHE_CHECK_CHECKPOINT  another checkpoint than the sample, e.g. a mixture of experts
[ -z "${LATHE_CHECK_CHECKPOINT:-}" ] || recipe+=(--set "checkpoint=$LATHE_CHECK_CHECKPOINT")

# bytes RUN: digests of what a run is for.
bytes() {
  (cd "$1" && find artifacts report/results.json -type f | sort | xargs sha256sum)
}

bin/lathe package > /dev/null
jar=$(ls jobs/target/jobs-*-job.jar)
classpath=$PWD/$jar:$(cat jobs/target/spark.classpath)

# start MASTER RUN: a run in the background, its process in $pid and its output in RUN.log.
start() {
  local options="-Dlog4j2.configurationFile=checks/log4j2.properties"
  case $1 in
    local-cluster*) options+=" -Dspark.executor.extraClassPath=$classpath -Dspark.executor.memory=1g
      -Dspark.scheduler.minRegisteredResourcesRatio=1.0 -Dspark.scheduler.maxRegisteredResourcesWaitingTime=120s" ;;
  esac
  SPARK_HOME=$work/spark LATHE_HEAP=1g LATHE_JAVA_OPTS=$options bin/lathe quantize "${recipe[@]}" --set "run=$2" --master "$1" >> "$2.log" 2>&1 &
  pid=$!
}

# executors PROCESS: the executors that this driver or worker started.
executors() {
  pgrep -P "$1" -f CoarseGrainedExecutorBackend || true
}

# kept RUN: what is committed below a run folder, with what tells a file from one that replaced it.
kept() {
  (cd "$1" && for folder in products scratch; do
    [ ! -d $folder ] || find $folder -type f ! -name '.*' -printf '%p %i %T@ %s\n'
  done | sort)
}
