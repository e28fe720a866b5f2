"""Say who speaks in a WAV file while it is sent to a service: `voiceid serve`.

    python examples/live_client.py ws://127.0.0.1:8423/v1/listen FILE.wav [KEY]

It needs ``pip install websockets``, and no voiceid: any program that records can send like this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import wave

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

CHUNK_S = 0.1


async def send(socket: ClientConnection, path: str) -> None:
    """Send the sound; the service reads it as fast as it hears it, or closes, and says why."""
    with wave.open(path) as sound, contextlib.suppress(ConnectionClosed):
        if sound.getsampwidth() != 2:
            raise SystemExit("the file must have 16 bits a sample")
        rate, channels = sound.getframerate(), sound.getnchannels()
        first = {"format": "pcm_s16le", "rate": rate, "channels": channels}
        await socket.send(json.dumps(first))
        while data := sound.readframes(int(CHUNK_S * rate)):
            await socket.send(data)
        await socket.send('{"type": "CloseStream"}')


async def main(url: str, path: str, key: str = "") -> None:
    """Print who speaks, from when on."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(url, additional_headers=headers) as socket:
        sending = asyncio.create_task(send(socket, path))
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                event = json.loads(text)
                if event.get("kind") == "decision":
                    decision = event["decision"]
                    who = decision["speaker"]["name"] if decision["speaker"] else "somebody"
                    print(f"{event['start_s']:.1f} s  {who}: {decision['outcome']}", flush=True)
                elif "code" in event:  # a problem is the last message
                    print(f"{event['detail']} ({event['hint']})", file=sys.stderr)
        await sending


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
