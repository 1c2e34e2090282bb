/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Boost events: which vCPU without a CPU keeps others waiting, and for what.
 */
#ifndef LOCKHOST_AGENT_BPF_BOOST_EVENT_BPF_H_
#define LOCKHOST_AGENT_BPF_BOOST_EVENT_BPF_H_

/* No vCPU's id. */
#define LH_NO_VCPU LOCKHOST_MAX_SLOTS

/* The vCPU of the VM that the task runs, or LH_NO_VCPU. */
static __always_inline uint32_t sibling_of(struct task_struct *task, uint64_t vm_id)
{
	struct lh_binding *binding = bpf_task_storage_get(&bindings, task, 0, 0);

	return binding && binding->vm_id == vm_id ? binding->vcpu_id : LH_NO_VCPU;
}

struct waiter_search {
	uint64_t page;
	uint64_t waits_for; /* searched for */
	uint32_t passed_over;
	bool found;
};

static long find_waiter(uint32_t vcpu_id, void *context)
{
	struct waiter_search *search = context;
	uint64_t waits_for = 0;

	if (vcpu_id == search->passed_over)
		return 0;
	bpf_probe_read_user(
		&waits_for, sizeof(waits_for),
		(void *)(report_slot_at(search->page, vcpu_id) + LOCKHOST_REPORT_WAITS_FOR_OFFSET));
	search->found = waits_for == search->waits_for;
	return search->found;
}

/* Some thread of the guest, not on vCPU `passed_over`, waits for a lock held on this vCPU. */
static __always_inline bool has_waiter(const struct lh_vm *vm, uint32_t vcpu_id,
                                       uint32_t passed_over)
{
	struct waiter_search search = {
		.page = vm->report_address,
		.waits_for = (uint64_t)vcpu_id + 1,
		.passed_over = passed_over,
	};
	uint32_t slots = vm->report_slots;

	bpf_loop(slots < LH_MAX_SEARCHED ? slots : LH_MAX_SEARCHED, find_waiter, &search, 0);
	return search.found;
}

/*
 * A boost helps this holder. If it gives way to a vCPU of its own VM, only where one waits that
 * has, or had, another CPU: the next one itself, should it want the lock, goes to sleep at once
 * and so gives the CPU back (and ask_for_holder() sees to it if somebody else comes first). Told
 * of a boost it would spin on the very CPU that the holder needs.
 */
static __always_inline bool boost_helps(const struct lh_vm *vm, uint32_t vcpu_id,
                                        struct task_struct *next, bool awaited)
{
	uint32_t sibling = sibling_of(next, vm->vm_id);

	return (awaited && sibling == LH_NO_VCPU) || has_waiter(vm, vcpu_id, sibling);
}

struct sleeper_search {
	uint64_t page;
	uint32_t heir;
	bool found;
};

static long find_sleeper(uint32_t vcpu_id, void *context)
{
	struct sleeper_search *search = context;

	if (vcpu_id == search->heir)
		return 0;
	search->found =
		read_wait_role(report_slot_at(search->page, vcpu_id)) == LOCKHOST_WAIT_ASLEEP;
	return search->found;
}

/*
 * This vCPU was awake on behalf of threads that sleep, and without it they sleep on though
 * the lock be free.
 */
static __always_inline bool is_missed_heir(const struct lh_vm *vm, uint64_t report,
                                           uint32_t vcpu_id)
{
	struct sleeper_search search = { .page = vm->report_address, .heir = vcpu_id };
	uint32_t slots = vm->report_slots;

	if (read_wait_role(report) != LOCKHOST_WAIT_HEIR)
		return false;
	bpf_loop(slots < LH_MAX_SEARCHED ? slots : LH_MAX_SEARCHED, find_sleeper, &search, 0);
	return search.found;
}

/* Boosts of this VM's holders may be asked for now. */
static __always_inline bool may_ask_boost(const struct lh_vm *vm, uint64_t now)
{
	return *(const volatile uint64_t *)&vm->boost_from_ns <= now;
}

static __always_inline bool may_ask_for_heir(const struct lh_vm *vm, uint64_t now)
{
	return *(const volatile uint64_t *)&vm->heirs_from_ns <= now;
}

/*
 * Asks the agent to run a preempted lock holder, or heir, again at once. Where the report
 * word is not readable here nothing is asked: whether the vCPU holds a lock is then the
 * guest's to say.
 */
static __always_inline void ask_boost(const struct lh_displaced *vcpu)
{
	struct lockhost_hint_slot *slot = table_entry(vcpu->vm_index, 1 + vcpu->vcpu_id);
	struct lh_boost_event *event = bpf_ringbuf_reserve(&boost_ring, sizeof(*event), 0);

	if (!event) {
		count(LH_BOOSTS_LOST);
		return;
	}
	event->vm_id = vcpu->vm_id;
	event->state_word = vcpu->state_word;
	event->report_word = vcpu->report_word;
	event->at_ns = vcpu->at_ns;
	event->vm_index = vcpu->vm_index;
	event->vcpu_id = vcpu->vcpu_id;
	event->is_heir = !!(vcpu->told & LH_TELL_HEIR);
	event->reserved = 0;
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
	if (slot)
		slot->recalled = vcpu->state_word;
	count(LH_BOOSTS_ASKED);
}

static __always_inline void remember_recalled(const struct lh_displaced *holder)
{
	struct lh_displaced *here = last_here(LH_RECALLED);

	if (here)
		*here = *holder;
}

/*
 * A vCPU gets a CPU from which a holder was recalled. If it is of the same VM, it is not to spin
 * for that holder where only its own sleep gives the holder its CPU.
 */
static __always_inline void take_back_recall(const struct lh_binding *next, uint32_t tid)
{
	struct lh_displaced *here = last_here(LH_RECALLED);
	struct lockhost_hint_slot *slot;

	if (!here || !here->tid || here->vm_id != next->vm_id)
		return;
	slot = table_entry(here->vm_index, 1 + here->vcpu_id);
	if (slot && slot->recalled == here->state_word && here->tid != tid)
		slot->recalled = 0;
	here->tid = 0;
}

/*
 * A waiter goes to sleep: the holder that it waits for was preempted, perhaps before
 * anybody waited for it, and is not next either. All of the VM's memory is this thread's memory,
 * too.
 */
static __always_inline void ask_for_holder(const struct lh_binding *waiter, struct lh_vm *vm,
                                           struct task_struct *next, uint64_t report, uint64_t now)
{
	struct lockhost_hint_slot *slot;
	struct lh_displaced holder = {
		.vm_id = waiter->vm_id,
		.vm_index = waiter->vm_index,
		.at_ns = now,
	};
	uint64_t waits_for = 0;

	if (!report || !may_ask_boost(vm, now))
		return;
	bpf_probe_read_user(&waits_for, sizeof(waits_for),
	                    (void *)(report + LOCKHOST_REPORT_WAITS_FOR_OFFSET));
	if (!waits_for || waits_for > vm->report_slots || waits_for > LOCKHOST_MAX_SLOTS)
		return;
	holder.vcpu_id = waits_for - 1;
	if (*owner_of(vm, holder.vcpu_id) == (uint32_t)next->pid)
		return;
	slot = table_entry(waiter->vm_index, waits_for);
	if (!slot || lockhost_state_of(slot->state_word) != LOCKHOST_RUN_STATE_PREEMPTED)
		return;
	holder.state_word = slot->state_word;
	if (!read_report_word(report_slot_at(vm->report_address, holder.vcpu_id),
	                      &holder.report_word) ||
	    !is_held(holder.report_word))
		return;
	ask_boost(&holder);
}

/*
 * A sleeper was woken: by whoever released the lock, on behalf of all that sleep. It mostly
 * waits long for a CPU. All of the VM's memory is its waker's memory, too, if that is a vCPU.
 */
static __always_inline void ask_for_woken(const struct lh_binding *binding, uint64_t state_word,
                                          uint64_t now)
{
	struct lh_vm *vm = vm_of(binding);
	struct lh_displaced heir = {
		.vm_id = binding->vm_id,
		.state_word = state_word,
		.vm_index = binding->vm_index,
		.vcpu_id = binding->vcpu_id,
		.told = LH_TELL_HEIR,
		.at_ns = now,
	};
	uint64_t report;

	if (!vm || !may_ask_for_heir(vm, now))
		return;
	report = report_slot(vm, binding->vcpu_id, bpf_get_current_pid_tgid() >> 32);
	if (report && read_wait_role(report) == LOCKHOST_WAIT_ASLEEP &&
	    read_report_word(report, &heir.report_word))
		ask_boost(&heir);
}

#endif /* LOCKHOST_AGENT_BPF_BOOST_EVENT_BPF_H_ */
