"""CURVE keys: who may talk to a bridge that other machines reach. Made, loaded and handed to sockets here.

    FOLDER/server.key_secret     stays on the bridge's machine
    FOLDER/server.key            public: every client needs it
    FOLDER/clients/NAME.key      public keys of the clients that the bridge lets in
    FOLDER/NAME.key_secret       of the client NAME: move it, with server.key, to that client's machine
    FOLDER/local.key_secret      of clients on the bridge's own machine: stays

A socket without a listed key gets no answer at all, not even to its handshake. Knows nothing of messages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.registry import check_id

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

SERVER, LOCAL = "server", "local"
CLIENTS = "clients"
DOMAIN = "armside"
PUBLIC, SECRET = ".key", ".key_secret"
MAKE = "make keys with `armside bridge keys`"
Socket = zmq.Socket[bytes]


def make_keys(folder: str | Path, names: Sequence[str]) -> list[Path]:
    """Keys of server and local clients, where there are none yet, and of each client in `names`; what was written.

    Files are readable by this user alone. Never overwrites: raises ConfigError for a name that has keys.
    """
    folder = Path(folder)
    for name in names:
        check_id(name)
        if name in (SERVER, LOCAL):
            raise ConfigError(sentence("a client's name", expected=f"any but {SERVER} and {LOCAL}", got=name))
        for path in (folder / f"{name}{SECRET}", folder / CLIENTS / f"{name}{PUBLIC}"):
            if path.exists():
                do = "choose another name, or delete its two files first: that client is then locked out"
                raise ConfigError(sentence(f"{path} exists", expected="a name without keys", got=name, do=do))
    try:
        (folder / CLIENTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        written = []
        if not (folder / f"{SERVER}{SECRET}").exists():
            written += _make(folder / f"{SERVER}{PUBLIC}", folder / f"{SERVER}{SECRET}")
            written += _make(folder / CLIENTS / f"{LOCAL}{PUBLIC}", folder / f"{LOCAL}{SECRET}")
        for name in names:
            written += _make(folder / CLIENTS / f"{name}{PUBLIC}", folder / f"{name}{SECRET}")
    except OSError as error:
        raise ConfigError(sentence(f"cannot write keys to {folder}", got=error, do="choose another folder")) from error
    return written


def guard(context: zmq.Context[Socket], sockets: Sequence[Socket], folder: str | Path) -> ThreadAuthenticator:
    """Make unbound server `sockets` accept listed clients only; stop what is returned at the end.

    Raises ConfigError for keys that are missing, damaged or readable by others.
    """
    from zmq.auth.thread import ThreadAuthenticator  # only here: bridges without keys need no such thread

    folder = Path(folder)
    public, secret = _load_secret(folder / f"{SERVER}{SECRET}")
    if not (folder / CLIENTS).is_dir():
        raise ConfigError(sentence(f"{folder / CLIENTS}", expected="a folder of clients' keys", got="none", do=MAKE))
    for path in (folder / CLIENTS).glob(f"*{PUBLIC}"):
        _load(path)
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    authenticator.configure_curve(domain=DOMAIN, location=str(folder / CLIENTS))
    for socket in sockets:
        socket.zap_domain = DOMAIN.encode()
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without it whoever comes is let in once the asked one is gone
        socket.curve_publickey, socket.curve_secretkey = public, secret
        socket.curve_server = True
    return authenticator


def identify(socket: Socket, keys: str | Path) -> None:
    """Give a client's unconnected `socket` its keys.

    `keys`: its NAME.key_secret beside server.key, or a folder with local.key_secret or the secret of one client.
    Raises ConfigError.
    """
    path = _client_secret(Path(keys))
    server = path.parent / f"{SERVER}{PUBLIC}"
    socket.curve_publickey, socket.curve_secretkey = _load_secret(path)
    socket.curve_serverkey = _load(server)[0]


# -- inside


def _make(public: Path, secret: Path) -> list[Path]:
    key, hidden = (part.decode() for part in zmq.curve_keypair())
    _write(public, f'metadata\ncurve\n    public-key = "{key}"\n')
    _write(secret, f'metadata\ncurve\n    public-key = "{key}"\n    secret-key = "{hidden}"\n')
    return [public, secret]


def _write(path: Path, text: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as opened:
        opened.write(text)


def _client_secret(keys: Path) -> Path:
    if not keys.is_dir():
        return keys
    if (keys / f"{LOCAL}{SECRET}").exists():
        return keys / f"{LOCAL}{SECRET}"
    found = sorted(path for path in keys.glob(f"*{SECRET}") if path.stem != SERVER)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        do = f"name the file: {found[0]}" if found else MAKE
        raise ConfigError(sentence(f"a client's key in {keys}", expected=f"one *{SECRET}", got=names, do=do))
    return found[0]


def _load_secret(path: Path) -> tuple[bytes, bytes]:
    public, secret = _load(path)
    if secret is None:
        raise ConfigError(sentence(f"{path}", expected="a secret key", got="a public one", do=f"name a *{SECRET}"))
    if path.stat().st_mode & 0o077:
        raise ConfigError(sentence(f"{path}", expected="readable by you alone", do=f"chmod 600 {path}"))
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    from zmq.auth import load_certificate

    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigError(sentence(f"the key {path}", got=error, do=MAKE)) from error
    for key in (public, secret):
        if key is not None and len(key) != 40:  # Z85 of 32 bytes
            raise ConfigError(sentence(f"the key {path}", expected="40 characters", got=len(key), do=MAKE))
    return public, secret
