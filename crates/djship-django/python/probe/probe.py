"""Asks a Django project what it needs: `probe.py --project FOLDER --root FOLDER_OF_MANAGE_PY --out FACTS.json`.

Run by the project's own interpreter, on a throw-away copy (project code may write), without network. Needs
the standard library alone. README.md beside this file describes the document that it writes. Exit code 0
whenever the document was written: what is wrong with the project stands in its `errors`.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True


def probe(project):
    from djship_probe import attempts, choice, feeds, report

    chosen = choice.choose(project)
    final = chosen.resolved
    if chosen.resolved.ok:
        given = {n: v for n, v in chosen.resolved.values.items() if n not in chosen.resolved.needed}
        final = project.resolve(
            "setup", chosen.resolved.settings, chosen.resolved.configuration, given={**given, **chosen.resolved.values}
        )
        if not final.ok:  # Django cannot be set up: the settings' own needs are known all the same
            final = attempts.Resolved(
                final.result, chosen.resolved.values, chosen.resolved.needed, chosen.resolved.proved,
                chosen.resolved.settings, chosen.resolved.configuration,
            )  # fmt: skip
        else:
            final.needed = {**chosen.resolved.needed, **final.needed}
        chosen.resolved.values = final.values
    found = {"database": {}, "parts": {}, "allowed_hosts": None}
    alternatives = {}
    if chosen.resolved.ok:
        given = {s["name"] for s in chosen.switches}
        found = feeds.find_feeds(project, chosen, given)
        alternatives = feeds.find_alternatives(project, chosen, final.needed, "settings")
    return report.compose(project, chosen, final, found, alternatives)


def record_reads(root, tries_record=False):
    """When the caller asks for it, begins to record what the answer depends on (reads.py, which the caller then puts
    beside this file); the variables with which a try does the same."""
    if "DJSHIP_READS" not in os.environ:
        return {}
    try:
        import reads
    except ImportError:
        return {}
    return reads.start(root, tries_record)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", required=True, help="the project's folder")
    parser.add_argument("--root", default=".", help="the folder of manage.py, relative to the project's")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one try")
    options = parser.parse_args()

    environment = record_reads(options.project, tries_record=True)

    from djship_probe.attempts import Project

    document = probe(Project(options.project, options.root, options.timeout, environment))
    unfinished = options.out + ".tmp"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True)
        file.write("\n")
    os.replace(unfinished, options.out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        from djship_probe import child

        child.main(sys.argv[2], record_reads)
    else:
        main()
