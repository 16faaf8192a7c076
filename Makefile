# `make run` brings everything up, `make test` tests it; both make .venv first. PYTHON=... names another Python.

# The system's own first, then the newest that is there.
FIND_PYTHON = for p in python3 python3.13 python3.12 python3.11; do \
	$$p -I -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && exit; \
	done; echo python3
PYTHON ?= $(shell $(FIND_PYTHON))
# A Python that somebody named is the one that .venv must have; one that was found is not worth making it anew.
NAMED = $(if $(filter file,$(origin PYTHON)),,--this-python)

.PHONY: help run test docker-test check bench bench-latency bench-growth bench-duplicates bench-drain bench-trickle bench-queries bench-sensors bench-rollups bench-scrape bench-drop bench-hostile bench-replay bench-live bench-pages bench-backtest bench-alerts bench-firmware screenshots locks translations dev prove remedies clean

help:
	@echo "make run     everything: PostgreSQL, Redis, an MQTT broker, the processes, one simulated board"
	@echo "make test    all tests, on services that they start themselves; says which parts had nothing new to say"
	@echo "make docker-test  the containers, brought up for real: used, hurt, scaled, upgraded, restored (wants Docker)"
	@echo "make check   ruff, hadolint, mypy, import-linter, migrations, Django's own checks"
	@echo "make prove   nothing lost, nothing doubled, whatever is killed: two minutes (ARGS=\"--kills 300 --seconds 1800\")"
	@echo "make remedies  each remedy taken out, and a test seen to fail: twenty minutes (ARGS=\"redis frozen\": some of them)"
	@echo "make bench   how fast a burst is stored, against a pipe that only copies (wants Debian's mosquitto)"
	@echo "make bench-latency   from PUBLISH to a row, at 1, 10, 1,000 and 5,000 messages a second (2 minutes)"
	@echo "make bench-growth    what a message costs in a table of 20 million rows, and in an empty one (8 minutes)"
	@echo "make bench-duplicates what it costs where a tenth of the messages comes twice (1 minute)"
	@echo "make bench-drain     how fast a backlog of 50,000 small batches is stored (1 minute)"
	@echo "make bench-trickle   what 165 messages a second cost, and what rest costs: CPU by process (8 minutes)"
	@echo "make bench-queries   queries on 52 million rows against one million (8 minutes, 20 GB; KEEP=folder keeps them)"
	@echo "make bench-sensors   a thousand sensors with their last values, in one answer"
	@echo "make bench-rollups   what keeping the rollups up to date costs, and that they are right after late rows"
	@echo "make bench-scrape    what a look at the pipeline costs: /metrics, and its page (1 minute)"
	@echo "make bench-drop      what is held up while a full partition is dropped"
	@echo "make bench-hostile   what arrays of nonsense cost: seconds of a batch, bytes stored for each received"
	@echo "make bench-replay    what a replay of ten thousand messages takes, and whether it holds ingest up"
	@echo "make bench-live      what a thousand live viewers cost, and whether they slow ingest down (8 minutes)"
	@echo "make bench-pages    what the dashboard's pages weigh and how soon they are there, with 10,000 sensors"
	@echo "make bench-alerts    what evaluating alerts costs, and how soon an incident is there (5 minutes)"
	@echo "make bench-backtest  a rule tried out on a year of one sensor's minutes, and what a reading costs (2 minutes)"
	@echo "make screenshots    the README's pictures; ARGS=--all: every page, theme, language and width"
	@echo "make bench-firmware  the MicroPython firmware for a minute, the broker killed twice: missing, doubled"
	@echo "make locks   requirements/*.txt anew from requirements/*.in (package-lock.json: npm install)"
	@echo "make translations  the French catalogue anew from what is marked; says what has no translation yet"
	@echo "make clean   remove .venv and node_modules (data in .data stays)"

# One command and no shell: make's child is then the process that stops everything when make ends.
run:
	@$(PYTHON) -I runner/bootstrap.py run $(NAMED)

dev:
	@$(PYTHON) -I runner/bootstrap.py dev $(NAMED)

# More than two cores can do: many tests wait for a process of ours, or for a backoff. Byte code is kept, though
# the environment may say otherwise: each process would have to compile all of ours, and pytest all tests.
test: export PYTHONDONTWRITEBYTECODE =
test: dev
	@.venv/bin/python -m pytest -q -n 4

docker-test: dev
	@.venv/bin/python -m deploy.test

PRODUCTION = DEBUG=0 HTTPS=1 ALLOWED_HOSTS=example.org CSRF_TRUSTED_ORIGINS=https://example.org ENV_FILES=0 \
	DATABASE_URL=postgres://x:x@127.0.0.1:5432/x REDIS_URL=redis://127.0.0.1:6379/0

# A secret of the moment: Django's checks look at its length, mypy's plugin only wants that there is one.
check: export SECRET_KEY = $(shell head -c 48 /dev/urandom | base64)
check: dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/hadolint Dockerfile
	env $(PRODUCTION) .venv/bin/mypy
	.venv/bin/lint-imports
	env $(PRODUCTION) .venv/bin/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	env $(PRODUCTION) .venv/bin/python manage.py check --deploy --fail-level WARNING

prove: dev
	@.venv/bin/python -m prove $(ARGS)

remedies: dev
	@.venv/bin/python -m prove.remedies $(ARGS)

bench: dev
	.venv/bin/python -m bench.ingest

bench-latency: dev
	@.venv/bin/python -m bench.latency $(ARGS)

bench-growth: dev
	@.venv/bin/python -m bench.growth $(ARGS)

bench-duplicates: dev
	@.venv/bin/python -m bench.duplicates $(ARGS)

bench-drain: dev
	@.venv/bin/python -m bench.drain $(ARGS)

bench-queries: dev
	.venv/bin/python -m bench.queries $(if $(KEEP),--keep $(KEEP)) $(ARGS)

bench-sensors: dev
	@.venv/bin/python -m bench.sensors

bench-trickle: dev
	@.venv/bin/python -m bench.trickle $(ARGS)

bench-rollups: dev
	.venv/bin/python -m bench.refresh

bench-scrape: dev
	@.venv/bin/python -m bench.scrape $(ARGS)

bench-drop: dev
	.venv/bin/python -m bench.drop_partition

bench-hostile: dev
	.venv/bin/python -m bench.hostile

bench-replay: dev
	.venv/bin/python -m bench.replay $(ARGS)

bench-live: dev
	@.venv/bin/python -m bench.live $(ARGS)

bench-pages: dev
	@.venv/bin/python -m bench.pages $(ARGS)

screenshots: dev
	@.venv/bin/python -m bench.screenshots $(ARGS)

bench-alerts: dev
	@.venv/bin/python -m bench.alerts $(ARGS)

bench-backtest: dev
	@.venv/bin/python -m bench.backtest $(ARGS)

bench-firmware: dev
	.venv/bin/python -m bench.firmware

LOCK = ../.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make locks"

# Versions move only when asked to: make locks UPGRADE=--upgrade
locks: dev
	cd requirements && $(LOCK) $(UPGRADE) base.in -o base.txt
	cd requirements && $(LOCK) $(UPGRADE) build.in -o build.txt
	cd requirements && $(LOCK) $(UPGRADE) node.in -o node.txt
	cd requirements && $(LOCK) $(UPGRADE) -c base.txt -c build.txt run.in -o run.txt
	cd requirements && $(LOCK) $(UPGRADE) -c base.txt -c build.txt dev.in -o dev.txt

# The second `dev` compiles what came of it.
translations: export SECRET_KEY = for-this-step-alone
translations: dev
	@env $(PRODUCTION) DJANGO_SETTINGS_MODULE=config.settings .venv/bin/python -m translations
	@$(MAKE) --no-print-directory dev

clean:
	rm -rf .venv node_modules
