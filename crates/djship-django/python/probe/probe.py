"""Asks a Django project what it needs: `probe.py --project FOLDER --root FOLDER_OF_MANAGE_PY --out FACTS.json`.

Run by the project's own interpreter, on a throw-away copy (project code may write), without network. Needs
the standard library alone. README.md beside this file describes the document that it writes. Exit code 0
whenever the document was written: what is wrong with the project stands in its `errors`.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = sys.pycache_prefix is None


def probe(project):
    from djship_probe import attempts, choice, feeds, report

    chosen = choice.choose(project, choice.PRODUCTION)
    final = chosen.resolved
    if chosen.resolved.ok:
        given = {n: v for n, v in chosen.resolved.values.items() if n not in chosen.resolved.needed}
        final = project.resolve(
            "setup", chosen.resolved.settings, chosen.resolved.configuration, given={**given, **chosen.resolved.values}
        )
        if not final.ok:  # Django cannot be set up: the settings' own needs are known all the same
            final = attempts.with_needs_of(chosen.resolved, final.result)
        else:
            final.needed = {**chosen.resolved.needed, **final.needed}
        chosen.resolved.values = final.values
    found = {"database": {}, "parts": {}, "allowed_hosts": None}
    alternatives = {}
    celery = None
    if chosen.resolved.ok and final.ok:
        project.prove_given(final, "setup")
        celery = find_celery(project, final)
    if chosen.resolved.ok:
        given = {s["name"] for s in chosen.switches}
        found = feeds.find_feeds(project, chosen, given)
        alternatives = feeds.find_alternatives(project, chosen, final.needed, "settings")
    return report.compose(project, chosen, final, found, alternatives, celery)


def find_celery(project, final):
    """The facts of one more try that also looks for Celery's application, where the project has one."""
    if not final.facts["celery"]:
        return None
    seen = project.attempt(final.values, "celery", final.settings, final.configuration)
    return seen.get("facts")


def record_reads(root):
    """When the caller asks for it, begins to record what the answer depends on, with reads.py, which the caller then
    puts beside this file. Tries are forks of this process: they record on."""
    if "DJSHIP_READS" not in os.environ:
        return
    try:
        import reads
    except ImportError:
        return
    reads.start(root)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", required=True, help="the project's folder")
    parser.add_argument("--root", default=".", help="the folder of manage.py, relative to the project's")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one try")
    parser.add_argument("--settings", help="the settings module, whatever the project's files name")
    parser.add_argument("--settings-origin", default="the command line", help="who says so, in words")
    parser.add_argument("--environment", metavar="FILE", help="variables that the user gives, a JSON object; not for --develop")
    parser.add_argument("--develop", metavar="SERVICES", help="for development; this file says where services listen")
    parser.add_argument("--count", action="store_true", help="say how many processes it took")
    options = parser.parse_args()

    record_reads(options.project)
    project = open_project(options)
    try:
        if options.develop:
            from djship_probe import develop

            document = develop.develop(project)
        else:
            document = probe(project)
    finally:
        project.tries.close()
    unfinished = options.out + ".tmp"
    with open(unfinished, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True)
        file.write("\n")
    os.replace(unfinished, options.out)
    if options.count:
        print(f"{project.tries.count} processes", file=sys.stderr)


def open_project(options):
    from djship_probe import preload
    from djship_probe.attempts import Project

    if options.develop:
        from djship_probe.supplies import Offer, Supplies

        with open(options.develop, encoding="utf-8") as file:
            offer = Offer(**json.load(file))
        given = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
        project = Project(options.project, options.root, options.timeout, given)
        project.supplies = Supplies(offer, project.base)
        preload.keep_bytecode_apart(project.is_own_file)
    else:
        project = Project(options.project, options.root, options.timeout)
        if options.settings:
            project.named_settings = (options.settings, options.settings_origin)
        if options.environment:
            with open(options.environment, encoding="utf-8") as file:
                project.given = json.load(file)
    preload.load(project.base)
    return project


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set decides nothing in the document
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "PYTHONHASHSEED": "0"})
    main()
