# Each recipe has a twin in ops/ for machines without just.
setup:
    ./ops/setup

check:
    ./ops/check

test *arguments:
    ./ops/test {{arguments}}

sim *arguments:
    ./ops/sim {{arguments}}

bench *arguments:
    ./ops/bench {{arguments}}

chaos *arguments:
    ./ops/chaos {{arguments}}

replay *arguments:
    .venv/bin/playlog replay {{arguments}}

up *arguments:
    ./ops/setup && .venv/bin/playlog up {{arguments}}

verify:
    ./ops/verify
