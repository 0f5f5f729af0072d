# SPDX-License-Identifier: Apache-2.0
"""The control port: POST {"do": method, "words": [...], "with": {...}}, answered by {"result": ...} or {"error": "..."}."""
import asyncio
import json

from . import encoding, http_wire


def connection(api):
    from . import CONTROLS

    async def serve(reader, writer):
        try:
            while True:
                request = await http_wire.read_request(reader, None)
                if request is None:
                    break
                answer = http_wire.Answer(writer, request)
                try:
                    said = json.loads(request.body)
                    if said.get("do") not in CONTROLS:
                        raise ValueError(f"no such control: {said.get('do')} (known: {', '.join(CONTROLS)})")
                    if said["do"] in ("populate", "load_recorded", "rotate_token"):  # long, or waits for the loop itself
                        work = asyncio.get_running_loop().run_in_executor(None, lambda: _do(api, said))
                        body = encoding.compact({"result": await work})
                    else:
                        body = encoding.compact({"result": _do(api, said)})
                except Exception as why:  # told to the one who asked
                    body = encoding.compact({"error": f"{type(why).__name__}: {why}"})
                await answer.whole(200, encoding.JSON_TYPE, body + b"\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
    return serve


def _do(api, said):
    result = getattr(api, said["do"])(*said.get("words", []), **said.get("with", {}))
    return result if isinstance(result, (str, int, float, list, dict, type(None))) else None
