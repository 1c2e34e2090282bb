/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hint events: whether anybody waits for the vCPU that goes. User space is woken for nothing
 * else, and for boost events (boost_event.bpf.h).
 */
#ifndef LOCKHOST_AGENT_BPF_HINT_EVENT_BPF_H_
#define LOCKHOST_AGENT_BPF_HINT_EVENT_BPF_H_

/* Somebody waits for a lock that this vCPU holds, as far as can be known. */
static __always_inline bool is_awaited(const struct lh_interest *wish, uint64_t report,
                                       uint64_t report_word, uint32_t vcpu_id)
{
	uint32_t awaited = 0;

	if (report) {
		if (!is_held(report_word))
			return false;
		bpf_probe_read_user(&awaited, sizeof(awaited),
		                    (void *)(report + LOCKHOST_REPORT_AWAITED_OFFSET));
		return awaited;
	}
	if (!wish)
		return false;
	return wish->awaited[(vcpu_id / 64) % (LOCKHOST_MAX_SLOTS / 64)] >> (vcpu_id % 64) & 1;
}

/* This VM's wish to be told, if it has one now. */
static __always_inline struct lh_interest *demand_of(const struct lh_binding *binding, uint64_t now)
{
	uint32_t vm_index = binding->vm_index;
	struct lh_interest *wish = bpf_map_lookup_elem(&interest, &vm_index);

	return wish && wish->vm_id == binding->vm_id && wish->demand_until_ns > now ? wish : NULL;
}

/*
 * Takes one pair of events from the VM's budget. One word is enough: the time up to which
 * events are paid for runs ahead of the clock by at most the burst. Of two CPUs that
 * pay at once one may fail; a suppressed hint is late, never wrong.
 */
static __always_inline bool pay_for_events(struct lh_vm *vm, uint64_t now)
{
	uint64_t paid = *(volatile uint64_t *)&vm->events_from;
	uint64_t from = paid > now ? paid : now;

	if (from - now > event_burst_ns)
		return false;
	return __sync_val_compare_and_swap(&vm->events_from, paid, from + event_pair_cost_ns) ==
	       paid;
}

static __always_inline bool send_event(const struct lh_displaced *vcpu, uint64_t now,
                                       uint64_t wakeup)
{
	struct lh_hint_event *event = bpf_ringbuf_reserve(&hint_ring, sizeof(*event), 0);

	if (!event) {
		count(LH_EVENTS_LOST);
		return false;
	}
	event->vm_id = vcpu->vm_id;
	event->vm_index = vcpu->vm_index;
	event->vcpu_id = vcpu->vcpu_id;
	event->state_word = vcpu->state_word;
	event->at_ns = now;
	bpf_ringbuf_submit(event, wakeup);
	count(LH_EVENTS);
	return true;
}

/* The booster first: its work is the more urgent. True if the guest is told. */
static __always_inline bool tell(const struct lh_displaced *vcpu, uint64_t now)
{
	if (vcpu->told & (LH_TELL_BOOSTER | LH_TELL_HEIR))
		ask_boost(vcpu);
	if (vcpu->told & LH_TELL_BOOSTER)
		remember_recalled(vcpu);
	return (vcpu->told & LH_TELL_GUEST) && send_event(vcpu, now, BPF_RB_FORCE_WAKEUP);
}

/*
 * A thread that gives the CPU back soon: a kernel thread, or one that asked for a short
 * slice. lockhost's own daemons do: every hint they deliver displaces a vCPU, often the
 * very one that holds the lock, and were that told in turn, hints would beget hints. A
 * kernel thread that stays for long makes the hint late, not wrong.
 */
static __always_inline bool is_brief(struct task_struct *task)
{
	if (task->flags & PF_KTHREAD)
		return true;
	return bpf_core_field_exists(task->se.slice) && task->se.slice <= brief_slice_ns;
}

/* Whom to tell that this vCPU has stopped: enum lh_told, or nobody. */
static __always_inline uint32_t who_is_told(struct lh_binding *binding, struct lh_vm *vm,
                                            struct task_struct *next, uint64_t report,
                                            uint64_t report_word, uint64_t state_word, uint64_t now)
{
	struct lh_interest *wish = demand_of(binding, now);
	bool may_boost = report && may_ask_boost(vm, now) &&
	                 lockhost_state_of(state_word) == LOCKHOST_RUN_STATE_PREEMPTED;
	bool boost = may_boost && is_held(report_word);
	uint32_t told = 0;
	bool awaited;

	if (may_boost && !boost)
		return may_ask_for_heir(vm, now) && is_missed_heir(vm, report, binding->vcpu_id)
		               ? LH_TELL_HEIR
		               : 0;
	if (!wish && !boost)
		return 0;
	awaited = is_awaited(wish, report, report_word, binding->vcpu_id);
	if (boost && boost_helps(vm, binding->vcpu_id, next, awaited))
		told = LH_TELL_BOOSTER;
	if (!wish || !awaited)
		return told;
	if (pay_for_events(vm, now))
		return told | LH_TELL_GUEST;
	count(LH_EVENTS_SUPPRESSED);
	return told;
}

/*
 * Tells that an awaited vCPU does not run: at once, or when it does not come back soon. The
 * wake-ups are forced: with records lying unread a ring would not wake by itself.
 */
static __always_inline void tell_stopped(struct lh_binding *binding, struct lh_vm *vm,
                                         struct task_struct *prev, struct task_struct *next,
                                         uint64_t report, uint64_t report_word, uint64_t state_word,
                                         uint64_t now)
{
	struct lh_displaced vcpu = {
		.vm_id = binding->vm_id,
		.state_word = state_word,
		.report_word = report_word,
		.vm_index = binding->vm_index,
		.vcpu_id = binding->vcpu_id,
		.tid = prev->pid,
		.told = who_is_told(binding, vm, next, report, report_word, state_word, now),
		.at_ns = now,
	};
	struct lh_displaced *here;

	if (!vcpu.told)
		return;
	here = last_here(LH_DISPLACED);
	if (here && lockhost_state_of(state_word) == LOCKHOST_RUN_STATE_PREEMPTED &&
	    is_brief(next)) {
		*here = vcpu;
		binding->announced = !!(vcpu.told & LH_TELL_GUEST);
	} else if (tell(&vcpu, now)) {
		binding->announced = 1;
	}
}

/*
 * After a brief thread: true if the displaced vCPU is next, as it mostly is,
 * and there is nothing to tell. Otherwise it lost its CPU in earnest and that is told now,
 * unless it has gone on elsewhere.
 */
static __always_inline bool settle_displaced(struct task_struct *next)
{
	struct lh_displaced *here = last_here(LH_DISPLACED);
	struct lockhost_hint_slot *slot;

	if (!here || !here->tid)
		return false;
	if (here->tid == (uint32_t)next->pid) {
		here->tid = 0;
		count(LH_EVENTS_BRIEF);
		return true;
	}
	if (is_brief(next))
		return false;
	slot = table_entry(here->vm_index, 1 + here->vcpu_id);
	if (slot && slot->state_word == here->state_word)
		tell(here, bpf_ktime_get_ns());
	here->tid = 0;
	return false;
}

/*
 * Tells that an announced vCPU runs again, also when demand has just ended: at most once
 * for each announcement. If the ring is full the vCPU stays announced. Wakes nobody where
 * the witness tells the guest the same without a message (hint_page.h): the record then
 * rides along with the next one that wakes.
 */
static __always_inline void tell_running(struct lh_binding *binding, uint64_t state_word,
                                         uint64_t now)
{
	uint64_t wakeup = binding->witnessed ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP;
	struct lh_displaced vcpu = {
		.vm_id = binding->vm_id,
		.state_word = state_word,
		.vm_index = binding->vm_index,
		.vcpu_id = binding->vcpu_id,
	};

	if (binding->announced && send_event(&vcpu, now, wakeup))
		binding->announced = 0;
}

#endif /* LOCKHOST_AGENT_BPF_HINT_EVENT_BPF_H_ */
