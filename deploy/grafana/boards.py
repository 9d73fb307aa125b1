#!/usr/bin/env python3
"""Writes the boards, deploy/grafana/boards/*.json: what a panel shows stands here once, its layout is computed.

  deploy/grafana/boards.py [--check]    --check: say what would change and end with 1, write nothing
"""

import json
import os
import sys

WIDTH, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${source}"}
JOB = 'job_namespace=~"$job_namespace",job_name=~"$job_name"'
BY_JOB = "{{job_namespace}}/{{job_name}}"


def panel(kind, title, unit, *queries, width=8, text="", low=None, high=None, stack=False, thresholds=()):
    """A panel of `kind` (stat, timeseries, bargauge, table); a query is (expression, legend)."""
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": [{"color": "green", "value": None}] + [
        {"color": color, "value": value} for color, value in thresholds]}}
    if low is not None:
        defaults["min"] = low
    if high is not None:
        defaults["max"] = high
    options = {}
    if kind == "timeseries":
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 30 if stack else 0, "showPoints": "never", "spanNulls": False,
                              "stacking": {"mode": "normal" if stack else "none", "group": "A"}}
        options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                   "tooltip": {"mode": "multi", "sort": "desc"}}
    elif kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
                   "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto"}
    elif kind == "bargauge":
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "displayMode": "basic",
                   "orientation": "horizontal", "showUnfilled": True}
    return {"type": kind, "title": title, "description": text, "datasource": SOURCE, "width": width,
            "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
            "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression, "legendFormat": legend,
                         "range": True, "instant": False, "editorMode": "code"}
                        for i, (expression, legend) in enumerate(queries)]}


def series(title, unit, *queries, **rest):
    return panel("timeseries", title, unit, *queries, **rest)


def stat(title, unit, expression, **rest):
    return panel("stat", title, unit, (expression, ""), width=4, **rest)


def placed(rows):
    """Panels with ids and places: row after row, from left to right."""
    panels, y = [], 0
    for title, members in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}})
        y, x, tallest = y + 1, 0, 0
        for member in members:
            width = member.pop("width")
            height = 4 if member["type"] == "stat" else HEIGHT
            if x + width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append({**member, "gridPos": {"h": height, "w": width, "x": x, "y": y}})
            x, tallest = x + width, max(tallest, height)
        y += tallest
    for number, each in enumerate(panels, start=1):
        each["id"] = number
    return panels


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "refresh": 2, "sort": 1, "includeAll": True, "multi": True, "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"], "selected": True}, "hide": 0, "regex": "", "skipUrlSync": False,
            "options": []}


def board(uid, title, description, rows, of_jobs):
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1,
              "includeAll": False, "multi": False, "hide": 0, "regex": "", "skipUrlSync": False, "options": [],
              "current": {"text": "Prometheus", "value": "prometheus", "selected": True}}
    jobs = [variable("job_namespace", "Namespace", "label_values(cherry_job_step, job_namespace)"),
            variable("job_name", "Job", 'label_values(cherry_job_step{job_namespace=~"$job_namespace"}, job_name)')]
    return {"uid": uid, "title": title, "description": description, "tags": ["cherry"], "schemaVersion": 39, "version": 1,
            "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "",
            "timepicker": {}, "fiscalYearStartMonth": 0, "weekStart": "", "liveNow": False,
            "templating": {"list": [source] + (jobs if of_jobs else [])}, "annotations": {"list": []},
            "links": [{"type": "dashboards", "title": "Cherry", "tags": ["cherry"], "asDropdown": False, "icon": "external link",
                       "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}],
            "panels": placed(rows)}


def cluster():
    return board("cherry-cluster", "Cherry: cluster", "Slots, queue, goodput and the coordinator's own health.", [
        ("Now", [
            stat("Running", "none", 'sum(cherry_jobs{state="RUNNING"}) or vector(0)'),
            stat("Waiting", "none", 'sum(cherry_jobs{state=~"PENDING|BACKOFF"}) or vector(0)'),
            stat("Slots used", "none", 'sum(cherry_slots{state="used"}) or vector(0)'),
            stat("Slots free", "none", 'sum(cherry_slots{state="free"}) or vector(0)'),
            stat("Workers lost", "none", 'sum(cherry_workers{state="LOST"}) or vector(0)', thresholds=[("red", 1)]),
            stat("Goodput, 1 h", "percentunit", "cluster:cherry_goodput:ratio_rate1h",
                 text="Of the slot-seconds that jobs held, those that were steps which count."),
        ]),
        ("Work", [
            series("Slots", "none", ("sum by (state) (cherry_slots)", "{{state}}"), stack=True, low=0),
            series("Jobs", "none", ('sum by (state) (cherry_jobs{state!~"SUCCEEDED|FAILED|CANCELLED"})', "{{state}}"),
                   stack=True, low=0),
            series("Workers", "none", ("sum by (state) (cherry_workers)", "{{state}}"), stack=True, low=0),
            series("Where slot time goes", "none", ("sum by (cause) (rate(cherry_slot_seconds_total[5m]))", "{{cause}}"),
                   stack=True, low=0, text="Slots, by what their seconds bought."),
            series("Wait for slots", "s", ("cluster:cherry_queue_wait_seconds:p50_1h", "half of the jobs"),
                   ("cluster:cherry_queue_wait_seconds:p95_1h", "19 of 20"), low=0),
            series("Tokens per second", "none", ("sum(job_name:cherry_job_tokens:rate5m)", "all jobs"), low=0),
            series("What became of jobs", "none",
                   ('sum by (to) (increase(cherry_job_transitions_total{to=~"SUCCEEDED|FAILED|CANCELLED|BACKOFF"}[15m]))',
                    "{{to}}"), low=0, text="In 15 minutes. BACKOFF: an attempt ended and will be repeated."),
            series("Why attempts end", "none",
                   ('sum by (reason) (increase(cherry_job_transitions_total{to=~"FAILED|BACKOFF"}[15m]))', "{{reason}}"),
                   low=0),
            series("Checkpoints committed", "none", ("sum(increase(cherry_checkpoints_committed_total[15m]))", "in 15 minutes"),
                   low=0),
        ]),
        ("Coordinator", [
            series("Calls, 99th percentile", "s", ("method:cherry_rpc_seconds:p99_5m", "{{method}}"), low=0),
            series("Calls per second", "none", ("sum by (code) (rate(cherry_rpc_seconds_count[5m]))", "{{code}}"), low=0),
            series("Disk and scheduling", "s", ("cluster:cherry_store_sync_seconds:p99_5m", "sync, 99th percentile"),
                   ("sum(rate(cherry_schedule_seconds_sum[5m])) / sum(rate(cherry_schedule_seconds_count[5m]))",
                    "a scheduling round, mean"), low=0),
        ]),
        ("Hosts", [
            panel("bargauge", "Roots, free", "percentunit",
                  ("min by (root, instance) (cherry_root_free_bytes / cherry_root_size_bytes)", "{{instance}} {{root}}"),
                  low=0, high=1, width=12),
            series("Where ranks spend their steps", "none", ("phase:cherry_rank_phase_seconds:rate5m", "{{phase}}"),
                   stack=True, low=0, width=12, text="Ranks that are in a phase, on average."),
        ]),
    ], of_jobs=False)


def job():
    return board("cherry-job", "Cherry: job", "Loss, speed and safety of running jobs; series go when a job ends.", [
        ("Now", [
            stat("Step", "none", f"max(cherry_job_step{{{JOB}}})"),
            stat("Loss, held out", "none", f'min(cherry_job_loss{{{JOB},split="valid"}})'),
            stat("Tokens per second", "none", f"sum(job_name:cherry_job_tokens:rate5m{{{JOB}}})"),
            stat("Step time", "s", f"max(job_name:cherry_job_step_seconds:mean5m{{{JOB}}})"),
            stat("Model FLOPs of peak", "percentunit", f"max(cherry_job_model_flops_ratio{{{JOB}}})",
                 text="0 where the device's peak is not known, as on CPUs."),
            stat("Newest checkpoint", "s", f"time() - min(cherry_job_last_checkpoint_timestamp_seconds{{{JOB}}})",
                 text="Its age.", thresholds=[("orange", 3600), ("red", 7200)]),
        ]),
        ("Learning", [
            series("Loss", "none", (f'cherry_job_loss{{{JOB},split=~"train|valid"}}', BY_JOB + " {{split}}"), width=12,
                   text="Nats per target."),
            series("Gradient norm", "none", (f"cherry_job_gradient_norm{{{JOB}}}", BY_JOB), width=12, low=0),
        ]),
        ("Speed", [
            series("Tokens per second", "none", (f"job_name:cherry_job_tokens:rate5m{{{JOB}}}", BY_JOB), low=0),
            series("Step time", "s", (f"job_name:cherry_job_step_seconds:mean5m{{{JOB}}}", BY_JOB + " mean"),
                   ("histogram_quantile(0.95, sum by (job_namespace, job_name, le) "
                    f"(rate(cherry_job_step_seconds_bucket{{{JOB}}}[5m])))", BY_JOB + " 19 of 20"), low=0),
            series("Targets that are trained on", "percentunit",
                   (f"rate(cherry_job_supervised_tokens_total{{{JOB}}}[5m]) / rate(cherry_job_tokens_total{{{JOB}}}[5m])", BY_JOB),
                   low=0, high=1, text="Of all tokens; selective training uses a part."),
        ]),
        ("Safety", [
            series("Standing still for checkpoints", "percentunit",
                   (f"rate(cherry_job_checkpoint_stall_seconds{{{JOB}}}[15m])", BY_JOB), low=0, width=12),
            series("Age of the newest checkpoint", "s",
                   (f"time() - cherry_job_last_checkpoint_timestamp_seconds{{{JOB}}}", BY_JOB), low=0, width=12),
        ]),
    ], of_jobs=True)


def methods():
    def coupling(measure):
        return f'cherry_job_gradient_coupling{{{JOB},measure="{measure}"}}'

    return board("cherry-methods", "Cherry: methods", "Selective training, compression, mixtures and drafts.", [
        ("Selective training", [
            series("Coupling and its ceiling", "none", (coupling("cosine"), BY_JOB + " cosine"),
                   (coupling("random_cosine"), BY_JOB + " of a random split"), (coupling("cross_cosine"), BY_JOB + " across batches"),
                   text="The cosine of the gradients of selected and other targets; that of a random split is what noise leaves."),
            series("What a step does to the others", "none", (coupling("predicted"), BY_JOB + " predicted"),
                   (coupling("measured"), BY_JOB + " measured"), text="Change of their loss; below 0 it falls."),
            series("Held-out loss", "none",
                   (f'cherry_job_loss{{{JOB},split=~"valid_(selected|unselected)"}}', BY_JOB + " {{split}}")),
            series("Wave", "none", (f"cherry_job_wave{{{JOB}}}", BY_JOB),
                   text="Gain on all held-out targets by the gain on the selected ones and their share: above 1 the others gained."),
            series("Coupling by its ceiling", "percentunit", (f"job_name:cherry_job_coupling_of_ceiling:ratio{{{JOB}}}", BY_JOB)),
            series("Held-out loss by category", "none",
                   (f'cherry_job_loss{{{JOB},split=~"valid_(fact|reason|correct|other)"}}', BY_JOB + " {{split}}")),
        ]),
        ("Compression", [
            series("Recovery", "percentunit", (f"cherry_job_recovery{{{JOB}}}", BY_JOB),
                   text="Of what merging lost, the part that is made good.", width=12),
            series("Loss", "none", (f'cherry_job_loss{{{JOB},split="valid"}}', BY_JOB), width=12),
        ]),
        ("Mixtures and drafts", [
            series("Load of experts", "none", (f"cherry_job_expert_load{{{JOB}}}", BY_JOB + " {{expert}}"), low=0,
                   text="Choices by the mean; highest is that of any router."),
            series("Entropy of routers", "none", (f"cherry_job_router_entropy{{{JOB}}}", BY_JOB), low=0, text="Nats."),
            series("Drafts accepted", "percentunit", (f"cherry_job_draft_acceptance{{{JOB}}}", BY_JOB + " {{position}}"), low=0,
                   high=1, text="By position of the drafted token."),
        ]),
    ], of_jobs=True)


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boards")
    check, differ = "--check" in sys.argv[1:], False
    for make in (cluster, job, methods):
        path, text = os.path.join(folder, make.__name__ + ".json"), json.dumps(make(), indent=1) + "\n"
        old = open(path, encoding="utf-8").read() if os.path.exists(path) else ""
        if check and old != text:
            differ = True
            print(f"{path} is not what deploy/grafana/boards.py writes: run it")
        elif old != text:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    sys.exit(differ)


if __name__ == "__main__":
    main()
