"""The web application: every provider under its prefix, and what the testers turn, under /_sandbox/.

GET    /                              one page by hand: magic cards, armed faults, reset
GET    /_sandbox/credentials          demo keys and magic cards, per provider
GET    /_sandbox/keys/PROVIDER/NAME   one of its keys, as a file
GET    /_sandbox/effects?after=SEQ    the journal, JSON lines, since the last reset
GET    /_sandbox/calls                how often each card was asked, per provider
POST   /_sandbox/faults               arm a fault: provider, kind, path, times or probability, seconds
GET    /_sandbox/faults               the armed ones
DELETE /_sandbox/faults[/ID]          disarm all, or one
POST   /_sandbox/crowd                make plain cards, where a provider can: provider, count, pin_digits
DELETE /_sandbox/state                reset: balances, calls and faults anew; a new journal, its numbers go on
"""

import json
from collections.abc import Callable, Sequence
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from portal.sandboxes import faults
from portal.sandboxes.kit import Call, Line, Provider, Switchboard, send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1"})
LINE = "tillside.line"  # where the server puts the caller's line into the WSGI environment
LARGEST_BODY = 1024 * 1024
MOST_CARDS = 100_000  # no two with the same last five digits


def application(providers: Sequence[Provider], board: Switchboard, *, lenient_clock: bool) -> Flask:
    app = Flask("portal.sandboxes", static_folder=None)
    app.url_map.merge_slashes = False  # a redirect of ours would be taken for the provider's
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    by_name = {provider.name: provider for provider in providers}

    @app.before_request
    def only_from_here() -> None:
        """A page elsewhere must not reach us by pointing its own name at 127.0.0.1."""
        if request.host.rsplit(":", 1)[0].casefold() not in LOCAL_NAMES:
            abort(403, "The sandboxes answer to localhost and 127.0.0.1 only.")

    @app.before_request
    def no_stranger_turns_anything() -> None:
        """A form on some other site must not arm a fault or reset the demo."""
        own = f"{request.scheme}://{request.host}"
        if _is_ours() and request.method != "GET" and request.headers.get("Origin", own) != own:
            abort(403, "This can be done from the sandboxes' own page or from a program, not from another site.")

    @app.errorhandler(HTTPException)
    def in_a_sentence(error: HTTPException) -> AnyResponse:
        response = error.get_response()
        if error.response is None:
            response.set_data(f"{error.description}\n")
            response.content_type = "text/plain; charset=utf-8"
        return response

    # ---- Providers ---------------------------------------------------------------------------------------

    @app.route("/<prefix>/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def call(prefix: str, path: str) -> Response:
        provider = by_name.get(prefix.casefold())
        if provider is None:
            abort(404, f"No provider is imitated under /{prefix}/.")
        found = [(route, match) for route in provider.routes if (match := route.path.fullmatch(f"/{path}"))]
        if not found:
            abort(404, f"{provider.title} has no such path.")
        asked = Call(
            method=request.method,
            path=f"/{path}",
            parts=found[0][1].groupdict(),
            query=tuple(request.args.items(multi=True)),
            headers=request.headers,  # type: ignore[arg-type]  # reads like a mapping, names in any case
            body=request.get_data(),
            at=board.clock(),
            lenient_clock=lenient_clock,
            url=f"{request.scheme}://{request.host}{request.environ['REQUEST_URI']}",
        )
        line = cast(Line, request.environ[LINE])
        for route, _ in found:
            if route.method == request.method:
                return board.answer(provider, route, asked, line)
        if request.method == "OPTIONS" and provider.preflight:
            return send(provider.preflight(asked), line)  # the browser's question, not the caller's: no fault
        return abort(405, description=f"{provider.title} does not take {request.method} here.")

    # ---- Control -----------------------------------------------------------------------------------------

    @app.get("/_sandbox/credentials")
    def credentials() -> Response:
        return jsonify(
            {
                provider.name: {**_credentials(provider), "cards": [vars(card) for card in provider.cards]}
                for provider in providers
            }
        )

    @app.get("/_sandbox/keys/<name>/<key>")
    def key_file(name: str, key: str) -> Response:
        written = _credentials(by_name[name]).get(key) if name in by_name else None
        if written is None or "\n" not in written:
            abort(404, "There is no such key.")
        return Response(
            written,
            content_type="application/x-pem-file",
            headers={"Content-Disposition": f'attachment; filename="{name}-{key}.pem"'},
        )

    @app.get("/_sandbox/effects")
    def effects() -> Response:
        after = request.args.get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) <= 18):
            abort(400, "after must be a number of the journal, or 0.")
        for provider in providers:
            board.catch_up(provider)
        lines = [json.dumps(effect) + "\n" for effect in board.store.effects(after=int(after))]
        return Response("".join(lines), content_type="application/x-ndjson")

    @app.get("/_sandbox/calls")
    def calls() -> Response:
        counted = board.store.calls()
        return jsonify(
            {
                name: {"total": sum(counted.get(name, {}).values()), "by_subject": counted.get(name, {})}
                for name in by_name
            }
        )

    @app.get("/_sandbox/faults")
    def armed() -> Response:
        return jsonify(board.store.armed())

    @app.post("/_sandbox/faults")
    def arm() -> AnyResponse:
        return make_response(jsonify({"id": _arm(request.get_json(force=True, silent=True))}), 201)

    @app.delete("/_sandbox/faults")
    @app.delete("/_sandbox/faults/<int:fault>")
    def disarm(fault: int | None = None) -> Response:
        gone = board.store.disarm(fault)
        if fault is not None and not gone:
            abort(404, "No fault with this number is armed.")
        return jsonify({"disarmed": gone})

    @app.post("/_sandbox/crowd")
    def crowd() -> tuple[str, int]:
        wanted = request.get_json(force=True, silent=True)
        wanted = wanted if isinstance(wanted, dict) else {}
        provider = by_name.get(str(wanted.get("provider")))
        count, digits = wanted.get("count"), wanted.get("pin_digits", 4)
        if provider is None or provider.crowd is None:
            abort(400, "provider must be one that can make cards.")
        if type(count) is not int or not 0 <= count <= MOST_CARDS or type(digits) is not int or not 1 <= digits <= 64:
            abort(400, f"count must be a whole number up to {MOST_CARDS}, pin_digits one from 1 to 64.")
        with board.store.writing() as db:
            provider.crowd(db, count, digits)
        return "", 204

    @app.delete("/_sandbox/state")
    def reset() -> tuple[str, int]:
        board.store.reset()
        return "", 204

    def _credentials(provider: Provider) -> dict[str, str]:
        with board.store.writing() as db:
            return {**provider.credentials, **provider.own_credentials(db)}

    def _arm(wanted: object) -> int:
        try:
            return board.store.arm(faults.read(wanted, providers=by_name))
        except faults.Misarmed as why:
            abort(400, str(why))

    # ---- The page ----------------------------------------------------------------------------------------

    @app.get("/")
    def page() -> str:
        return render_template(
            "page.html",
            providers=[(provider, _credentials(provider)) for provider in providers],
            calls=board.store.calls(),
            armed=board.store.armed(),
            kinds=faults.MEANING,
        )

    @app.post("/_sandbox/page/arm")
    def arm_by_hand() -> AnyResponse:
        form: dict[str, object] = {name: text for name, text in request.form.items() if text}
        for name, number in (("times", int), ("seconds", float)):
            _as_number(form, name, number)
        _arm(form)
        return _back()

    @app.post("/_sandbox/page/disarm")
    def disarm_by_hand() -> AnyResponse:
        board.store.disarm(request.form.get("id", type=int))
        return _back()

    @app.post("/_sandbox/page/reset")
    def reset_by_hand() -> AnyResponse:
        board.store.reset()
        return _back()

    return app


def _is_ours() -> bool:
    return request.path.startswith("/_sandbox/")


def _as_number(form: dict[str, object], name: str, number: Callable[[str], object]) -> None:
    try:
        if name in form:
            form[name] = number(str(form[name]))
    except ValueError:
        abort(400, f"{name} must be a number.")


def _back() -> AnyResponse:
    return redirect(urlsplit(url_for("page")).path, 303)
