# Two commands: `make demo` and `make test`. The others are parts of them.
.PHONY: demo down test minors reliability check format lock docs clean operator-local help
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: .venv/.ready ## train and serve on a local cluster [DATA=folder or zip] [PHOTOS=N] [CONTEXT=name REGISTRY=host/path]
	@$(PYTHON) -m demo up $(if $(DATA),--data "$(DATA)") $(if $(PHOTOS),--photos $(PHOTOS)) $(if $(CONTEXT),--context "$(CONTEXT)")

down: .venv/.ready ## remove the demo's cluster and all it left on the machine; caches stay
	@$(PYTHON) -m demo down $(if $(CONTEXT),--context "$(CONTEXT)")

test: check ## all tests, on a real API server and a real node too (how long: README) [CONTEXT=name REGISTRY=host/path]
	@$(PYTHON) -m pytest

minors: .venv/.ready ## the integration tests on the oldest and the newest tested Kubernetes
	@for minor in 1.35 1.37; do KUBERNETES=$$minor $(PYTHON) -m pytest tests/integration || exit 1; done

reliability: .venv/.ready ## what takes long: an operator under every fault, trainings killed, a store in bad weather, a server under attack
	@$(PYTHON) -m pytest tests/reliability

check: .venv/.ready ## lint, types, layers: seconds
	@scripts/check

format: .venv/.ready ## format the code
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

lock: .venv/.ready ## write requirements/*.lock anew from pyproject.toml
	@scripts/lock

docs: .venv/.ready ## build the documentation site into site/
	@.venv/bin/mkdocs build --strict --quiet --site-dir site && echo "open site/index.html"

operator-local: .venv/.ready ## run the operator from the checkout against the local cluster
	@$(PYTHON) -m demo operator

clean: ## remove the caches: programs, images, downloads
	@rm -rf .venv "$${XDG_CACHE_HOME:-$$HOME/.cache}/cats-dogs"

.venv/.ready: requirements/dev.lock scripts/setup
	@scripts/setup
