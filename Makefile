# One line a target is its help text. Everything runs in .venv, which `setup` makes and keeps in step.
PY := .venv/bin/python
BIN := .venv/bin
BROKER ?= embedded
DATABASE ?= embedded
DATA ?=
TEST_PROCESSES ?= 3
SITE ?= http://127.0.0.1:8090
OUR_CODE := bridge scorer interactions trainer insights eventlog storage runtime deploy fakes tests docs/clients/python protos/generate.py protos/openapi.py

.PHONY: help setup run test check format protos monitoring terraform docs lock sbom bench quality chaos bench-report screenshots clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'
	@echo "  run takes BROKER=kafka, DATABASE=postgres and DATA=DIR (a KuaiRand log to import instead of simulated data)"

setup: .venv/.in-step ## Make the virtual environment with the locked packages

.venv/.in-step: requirements.lock pyproject.toml deploy/setup.sh
	@sh deploy/setup.sh
	@touch $@

run: setup ## Set everything up and run the whole system until Ctrl-C
	@$(BIN)/feed up --broker $(BROKER) --database $(DATABASE) $(if $(DATA),--data $(DATA))

test: setup ## Run all tests, on the embedded and on the real parts
	@# Faults under load come alone, after what waits more than it works; all of it runs whatever failed.
	@failed=0; \
	sh deploy/test.sh -n $(TEST_PROCESSES) --dist loadfile tests/unit tests/contract tests/integration || failed=1; \
	sh deploy/test.sh tests/chaos tests/e2e || failed=1; \
	exit $$failed

check: setup ## Format, lint, types, layers, contract, lock file, known vulnerabilities
	$(BIN)/ruff format --check -q $(OUR_CODE)
	$(BIN)/ruff check -q $(OUR_CODE)
	$(BIN)/mypy $(OUR_CODE)
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/CONTRACT.binpb
	$(PY) protos/generate.py --check
	$(PY) protos/openapi.py --check
	$(PY) -m deploy.monitoring --check
	$(PY) -m deploy.terraform --check
	$(PY) -m deploy.docs --check
	sh deploy/lock.sh --check
	$(PY) -m deploy.vulnerabilities

format: setup ## Put the code into its form
	$(BIN)/ruff check -q --fix $(OUR_CODE)
	$(BIN)/ruff format -q $(OUR_CODE)

protos: setup ## Generate the code and the OpenAPI document of the contract
	$(PY) protos/generate.py
	$(PY) protos/openapi.py

monitoring: setup ## Make rules, dashboards and the list of alerts out of the code's own metrics
	$(PY) -m deploy.monitoring

terraform: setup ## Make what Terraform reads out of topics.toml, the tables and the alerts
	$(PY) -m deploy.terraform

docs: setup ## Make the reference pages out of the code, and all pages as a site: build/docs/site
	$(PY) -m deploy.docs

lock: setup ## Resolve requirements.lock anew from pyproject.toml
	sh deploy/lock.sh

sbom: setup ## List every locked package, as CycloneDX, in build/sbom.json
	@mkdir -p build
	$(PY) -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o build/sbom.json

bench: setup ## Measure P01 to P10 against their bare references, a JSON line each
	$(PY) -m tests.bench

quality: setup ## Measure served rankings on a time split of KuaiRand (DATA=DIR, else the one beside), a JSON line each
	$(PY) -m tests.quality $(DATA)

chaos: setup ## Run the targets R01 to R26 and S03 to S14 in full, under load, a JSON line each at the end
	$(PY) -m pytest --long tests/chaos tests/integration/deploy/test_helm_system.py $(wildcard tests/unit/bridge/test_*_model.py)

bench-report: setup ## Run the speed and failure suites in full and write var/bench-report/index.html, with plots
	$(PY) -m tests.bench.report

screenshots: setup ## Take pictures of every page of the running system (SITE=URL) into docs/screenshots
	$(PY) -m tests.screenshots $(SITE) docs/screenshots

clean: ## Remove what was made: environment, data, caches
	rm -rf .venv var build dist .mypy_cache .ruff_cache .pytest_cache
