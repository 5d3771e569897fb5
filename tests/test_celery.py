"""What the broker is told."""

from portal.celery import app


def test_a_message_for_one_queue_reaches_that_queue_only():
    """Left to Celery, two queues without an exchange of their own are both bound to the first one's."""
    bound = {name: (queue.exchange.name, queue.routing_key) for name, queue in app.amqp.queues.items()}

    assert bound == {"work": ("work", "work"), "bulk": ("bulk", "bulk")}


def test_messages_and_their_answers_carry_nothing_but_ids_in_json():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.task_ignore_result


def test_a_taken_message_is_given_back_when_its_worker_dies():
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1


def test_on_a_single_machine_both_ends_use_the_folder_broker():
    """Celery reads CELERY_BROKER_URL by itself and would use kombu's own transport for it."""
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert connection.transport_cls == "folder"
