"""Run by Python with Jupyter AI's personas: sends one message to a persona, and prints its answer.

``python jupyter_ai_chat.py FOLDER MESSAGE``: the chat is a file in that folder, which has a folder ``.jupyter``.
"""

from __future__ import annotations

import asyncio
import sys

from jupyter_ai_persona_manager.persona_manager import PersonaManager
from jupyterlab_chat.models import NewMessage, User
from jupyterlab_chat.ychat import YChat

SOON_S = 60
"""Seconds that the answer may take on a busy machine."""
POLL_S = 0.05


async def main(folder: str, message: str) -> None:
    """Chat without a front end: the chat's document, its personas and the agents behind them are real."""
    chat = YChat()
    chat.initial_path = "talk.chat"
    manager = PersonaManager(chat=chat, root_dir=folder, event_loop=asyncio.get_running_loop())
    (persona,) = (one for one in manager.personas.values() if one.name == "Scripted")
    chat.set_user(User(username="ana", name="Ana", display_name="Ana"))
    sent = chat.get_message(chat.add_message(NewMessage(body=message, sender="ana")))
    assert sent is not None
    async with asyncio.timeout(SOON_S):
        await persona.on_message(sent)
        while not (answers := [one for one in chat.get_messages() if one.sender == persona.id]):
            await asyncio.sleep(POLL_S)  # what an agent says is written to the chat in a task of its own
    sys.stdout.write(answers[0].body)
    sys.stdout.flush()
    await manager.shutdown_personas()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
