"""How do fetched records reach the agents, on either transport, without Faust's own cost per record?

Faust's loop starts four tasks for each record, so that a delivery that waits can be cut short when the flow of records is stopped
(a rebalance, a shutdown). Nearly every delivery ends at once. :class:`Drain` looks first whether this one can wait: only then does
it go Faust's way; otherwise it awaits the delivery directly. That is all of the gain, about three times the records per second.

Eight defects of Faust's are mended here as well:

* When every partition's buffer is full, Faust sleeps a whole second, whatever the agents do meanwhile; here it goes on as soon as a
  partition may be read again. So does a fetch that waits for the others.
* Faust hands its live set of readable partitions to the driver. A pause can empty it while the request waits, aiokafka reads an
  empty set as "all", and the records of a standby are dropped although their positions moved. Here the driver gets a copy.
* A stop waits until every delivered message was acknowledged or forgotten. Of two agents that read one topic, the one that is done
  still holds the message in its frame while the other's copy was cleared from its queue: nobody will ever acknowledge it, and the
  app never ends. Here a stop waits for the agents that have a record in work, and for nothing else.
* A commit tolerates one record that is not acknowledged just behind the committed offset, and any number before the first commit.
  An agent that holds acknowledgements back until its state is saved would lose them in a crash. Here nothing unacknowledged is passed.
* Reading goes on at the committed offset, whatever state a table was recovered to. A worker that stood still while another took over
  may have written an older state over a newer one; what lies between the two would be lost. Here reading begins where the state stands.
* Records that were queued when their partition was taken away are passed over, and acknowledged: where the worker gets the partition
  back, a commit could pass records that nobody dealt with. Here an acknowledgement counts only in the assignment of its record.
* A worker that was thrown out of its group does not stop the flow, because it has no assignment any more; records of the next one reach
  agents whose tables are not recovered yet. Here nothing but changelogs is delivered until a rebalance is over.
* Going back to what is committed goes nowhere where nothing is committed yet: a group that has just begun would never see the records
  that were passed over until then, and commit what comes behind them. Here it goes back to the first of them.

This uses Faust's private consumer interface; ``pyproject.toml`` pins the versions it is tested against.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from faust.types import TP

__all__ = ["Drain"]

_YIELD_EVERY = 100
"""Records delivered before the agents get their turn on the event loop; Faust's own number."""

_IN_WORK_LOOK_S = 0.01
"""How often a stop looks whether the agents are done."""

_IN_WORK_TELL_S = 10.0
"""How often a stop that waits says for whom."""

_FULL_LOOK_S = 0.02
"""Longest fetch while a partition is not read because its agent's buffer is nearly full: it goes on from 40 % of it."""

_FETCH_S = 1.0
"""How long a fetch waits for records, and the longest wait for a partition that may be read again."""


class Drain:
    """Mixed in before a Faust ``Consumer``; replaces its fetch loop."""

    _readable: asyncio.Event | None = None
    _first_delivered: Mapping[TP, int] = MappingProxyType({})
    _passed_over: Mapping[TP, int] = MappingProxyType({})
    """Lowest offset of each partition that was fetched for nobody since reading went back; while there is one, nothing is delivered."""

    # When may a partition be read again?

    def _note_readable(self) -> None:
        if self._readable is not None:
            self._readable.set()

    def on_buffer_drop(self, tp: TP) -> None:
        """Faust: an agent's queue has room again."""
        super().on_buffer_drop(tp)  # type: ignore[misc]
        self._note_readable()

    def resume_partitions(self, tps: Any) -> None:
        """Faust: recovery or an assignment lets partitions be read."""
        super().resume_partitions(tps)  # type: ignore[misc]
        self._note_readable()

    async def _wait_next_records(self: Any, timeout: float) -> tuple[Any, frozenset[TP] | None]:  # noqa: ASYNC109
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if self.app.client_only:
            return await self._getmany(active_partitions=None, timeout=timeout), None
        active = frozenset(self._get_active_partitions())
        if active:
            # Others, changelogs for instance, may be quiet: a partition whose agent has room again must not wait for the end of this.
            wait_s = min(timeout, _FULL_LOOK_S) if self._buffered_partitions else timeout
            return await self._getmany(active_partitions=active, timeout=wait_s), active
        self._readable = asyncio.Event()
        # The wait is bounded because Faust changes the set in places that say nothing.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._readable.wait(), timeout)
        return {}, active

    # What counts as done

    def ack(self: Any, message: Any) -> bool:
        """Faust: a record was dealt with, or passed over because it was queued in an assignment that is over."""
        if message.generation_id != self.app.consumer_generation_id:
            return False
        counted: bool = super().ack(message)  # type: ignore[misc]
        return counted

    def _set_active_tps(self, tps: Any) -> Any:
        active = super()._set_active_tps(tps)  # type: ignore[misc]
        self._first_delivered = {}
        self._note_readable()
        return active

    def _new_offset(self: Any, tp: TP) -> int | None:
        """Faust: up to which offset may be committed? None where the record next to what is committed is not acknowledged."""
        committed = self._committed_offset[tp]
        begin = self._first_delivered.get(tp) if committed is None else committed
        gap = self._gap[tp]
        lowest = min([*self._acked[tp], *([gap.begin()] if gap else ())], default=None)
        if lowest is None or begin is None or lowest > begin:
            return None
        offset: int | None = super()._new_offset(tp)  # type: ignore[misc]
        return offset

    # Where reading goes on

    async def perform_seek(self: Any) -> None:
        """Faust, before records are read (again): go to what is committed, or to where the recovered state stands if that is before it."""
        await super().perform_seek()  # type: ignore[misc]
        state_at = getattr(self.app, "state_at", None)
        if state_at is None:
            return
        for tp, read in list(self._read_offset.items()):
            at = state_at(tp)
            if read is not None and at is not None and at < read:
                self.log.info("%s[%d]: the state stands at %d, before what is committed (%d)", tp.topic, tp.partition, at, read)
                await self.seek(tp, at)

    # The end

    async def wait_empty(self: Any) -> None:
        """Faust, before a stop and a rebalance: return once no agent has a record in work and what they did is committed.

        Records that were delivered and not begun are read again by whoever owns the partition next.
        """
        waited_s = 0.0
        while not self.should_stop and not self._is_hopeless() and (busy := self._busy_agents()):
            await asyncio.sleep(_IN_WORK_LOOK_S)
            waited_s += _IN_WORK_LOOK_S
            if waited_s >= _IN_WORK_TELL_S:
                self.log.warning("still at work: %s", ", ".join(busy))
                waited_s = 0.0
        self._unacked_messages.clear()
        await self.commit_and_end_transactions()

    def _is_hopeless(self) -> bool:
        """Whether the transport has failed, so that no agent's work can become durable any more."""
        return False

    def _busy_agents(self: Any) -> list[str]:
        """Name the agents that have taken a record and not yet acknowledged it, except those that may be interrupted in it."""
        return [
            name
            for name, agent in self.app.agents.items()
            if not getattr(agent, "interruptible", False) and any(actor.stream.current_event is not None for actor in agent._actors)
        ]

    # The loop

    async def _drain_messages(self: Any, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._drain_once()
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
        except Exception as exc:
            self.log.exception("the fetch loop stopped: %r", exc)
            raise

    async def _drain_once(self: Any) -> None:
        """Fetch once and deliver what came, as long as nobody stops the flow or takes the partitions away."""
        app = self.app
        if self._passed_over and not app.rebalancing:
            await self._rewind()
        records, active = await self._wait_next_records(_FETCH_S)
        # Read after the fetch: one that waited through a whole rebalance brings records from behind the new positions, and those
        # that it brings from before it find the flow stopped.
        generation = app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            # A rebalance has just begun. Going back now would get in the way of the seeks of recovery, and could come after them.
            for tp, found in records.items():
                self._pass_over(tp, found[0].offset)
            return
        for tp in records:
            app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        delivered = 0
        for tp, record in self.scheduler.iterate(records):
            if not self.flow_active or app.consumer_generation_id != generation:
                return
            if (app.rebalancing or self._passed_over) and not self._is_changelog_tp(tp):
                # What lies behind a record that was passed over waits for it, also where the rebalance has ended during this fetch.
                self._pass_over(tp, record.offset)
            elif active is None or tp in active or tp in self._buffered_partitions:
                await self._deliver(tp, self._to_message(tp, record))
                delivered += 1
                if delivered % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)

    def _pass_over(self: Any, tp: TP, offset: int) -> None:
        """Note a record that was fetched and that nobody is to have now. Changelogs are recovery's, which seeks them itself."""
        if not self._is_changelog_tp(tp) and offset <= self._passed_over.get(tp, offset):
            self._passed_over = {**self._passed_over, tp: offset}

    async def _rewind(self: Any) -> None:
        """Records were on their way that nobody was to have: read them again."""
        passed, self._passed_over = self._passed_over, MappingProxyType({})
        ours = self.assignment() & passed.keys()
        if not ours:
            return  # whoever has them by now reads them
        try:
            await self.perform_seek()
            for tp in ours:
                # Never forward: in a new assignment reading begins by itself where nothing is committed.
                if not self._read_offset.get(tp) and await self.position(tp) > passed[tp]:
                    await self.seek(tp, passed[tp])
        except Exception as exc:
            # A rebalance may be under way, or the broker be slow. Nothing is delivered until it is done.
            self.log.warning("could not go back to what was passed over, which is tried again: %r", exc)
            self._passed_over = passed

    async def _deliver(self: Any, tp: TP, message: Any) -> None:
        offset = message.offset
        read = self._read_offset[tp]
        if read is not None and offset < read:
            return  # read before a seek went back or forth
        if tp not in self._first_delivered:
            self._first_delivered = {**self._first_delivered, tp: offset}
        if read and offset - read > 1 and self.app.topics.acks_enabled_for(message.topic):
            # Offsets that compaction or retention took away count as processed, or commits would wait for them for ever.
            await self._add_gap(tp, read + 1, offset - 1)
        if self._commit_every is not None and self._n_acked >= self._commit_every:
            self._n_acked = 0
            await self.commit()
        if self._delivers_at_once():
            await self.callback(message)
        else:
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
        if self.flow_active and message.generation_id == self.app.consumer_generation_id:
            # Else positions are set anew, or were already, and what lies before this record is to be read again.
            self._read_offset[tp] = offset

    def _delivers_at_once(self: Any) -> bool:
        """Whether nothing makes the next delivery wait: the flow runs, no subscription changes, no send is held up."""
        app = self.app
        return (
            app.flow_control.is_active()
            and not app.topics._tp_to_callback_lock.locked()
            and app.producer.buffer.pending.qsize() <= app.producer.buffer.max_messages
        )
