"""How the threads of native libraries wait for one another."""

import os


def let_idle_threads_sleep() -> None:
    """Makes OpenMP's threads, llama.cpp's and torch's, sleep while they wait.

    By default they spin: beside other work, two threads are then several times slower than one. It must be said before
    such a library is loaded, and holds for the children of this process, too; who has set it otherwise is heard.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
