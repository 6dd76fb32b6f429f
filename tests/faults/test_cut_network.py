"""The network between a worker and its servers is cut, held up, slowed down, closed on one side, and restored."""

import time

import pytest
from proxy import Proxy

pytestmark = pytest.mark.faults

LONGER_THAN_A_LEASE = 6.0


@pytest.fixture(params=["queue", "database"])
def network(request, postgresql_plant):
    """The worker of a plant reaches its queue, or its database, through this."""
    plant = postgresql_plant
    plant.begin()
    plant.stop_worker()
    if request.param == "queue":
        proxy = Proxy(plant.redis.port)
        variables = {"ODDLOT_BROKER_URL": f"redis://127.0.0.1:{proxy.port}/0"}
    else:
        proxy = Proxy(plant.postgres.socket)
        variables = {"ODDLOT_DATABASE_URL": f"postgresql://postgres@127.0.0.1:{proxy.port}/oddlot"}
    plant.start_worker(**variables)
    yield plant, proxy
    proxy.restore()
    plant.stop_worker()
    proxy.close()


def disturb(proxy, how):
    if how == "cut":
        proxy.cut()
        time.sleep(LONGER_THAN_A_LEASE)
    elif how == "held up":
        proxy.hold()
        time.sleep(LONGER_THAN_A_LEASE)
    elif how == "held up and forgotten":
        proxy.hold()
        time.sleep(LONGER_THAN_A_LEASE)
        proxy.reset()
    elif how == "half closed":
        proxy.half_close()
    elif how == "slow":
        proxy.slow_down(0.3)
        time.sleep(LONGER_THAN_A_LEASE)
    proxy.restore()


def test_a_network_that_is_disturbed_and_restored(network):
    plant, proxy = network
    for how in ("cut", "held up", "held up and forgotten", "half closed", "slow"):
        job = plant.submit()
        plant.await_progress(job.id)
        disturb(proxy, how)
        plant.check(job.id)
