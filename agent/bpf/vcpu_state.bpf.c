/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Run state of every vCPU of this host, written by the scheduler itself into the VM's
 * table, with nobody woken. Runs on every context switch: what is no vCPU must leave at
 * once.
 *
 * Writers of one slot never meet: switch-out runs while on_cpu is still set, a wake-up
 * waits until it is clear, and switch-in follows the wake-up under the run queue's lock.
 */
#include "agent/bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "agent/bpf/shared.h"
#include "agent/bpf/maps.bpf.h"
#include "agent/bpf/report.bpf.h"
#include "agent/bpf/vcpu_stats.bpf.h"
#include "agent/bpf/binding.bpf.h"
#include "agent/bpf/boost_event.bpf.h"
#include "agent/bpf/hint_event.bpf.h"
#include "agent/bpf/table_command.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* KVM's own flag for "in HLT" (stat.generic.blocking), while inside KVM_RUN. */
static __always_inline bool is_blocking(uint64_t vcpu)
{
	uint64_t blocking = 0;

	if (vcpu)
		bpf_probe_read_kernel(&blocking, sizeof(blocking),
		                      (void *)(vcpu + vcpu_blocking_offset));
	return blocking;
}

static __always_inline void switch_out(struct task_struct *prev, struct task_struct *next,
                                       bool runnable)
{
	uint64_t vcpu = running_vcpu(prev);
	struct lh_binding *binding = binding_of(prev, vcpu);
	struct lh_vm *vm = binding ? vm_of(binding) : NULL;
	struct lockhost_hint_slot *slot = vm ? slot_of(binding) : NULL;
	struct lockhost_vcpu_stats *stats;
	uint64_t report, word, steal, now;
	uint32_t state;

	if (!slot)
		return;
	now = bpf_ktime_get_ns();
	report = report_slot(vm, binding->vcpu_id, prev->tgid);
	if (!read_report_word(report, &word))
		report = 0;
	stats = stats_at(binding->stats_index);
	if (stats)
		account_switch_out(stats, slot, now);
	slot->witness = word;
	slot->since_ns = now;
	slot->stopped_ns = now;
	steal = prev->sched_info.run_delay + binding->steal_offset_ns;
	if (steal > slot->steal_ns)
		slot->steal_ns = steal;
	if (runnable) {
		state = LOCKHOST_RUN_STATE_PREEMPTED;
		slot->preemptions++;
		if (is_held(word))
			slot->lock_holder_preemptions++;
	} else {
		state = is_blocking(vcpu) ? LOCKHOST_RUN_STATE_HALTED : LOCKHOST_RUN_STATE_EXITED;
	}
	publish_state(slot, state);
	binding->witnessed = word != 0;
	tell_stopped(binding, vm, prev, next, report, word, slot->state_word, now);
	if (!runnable)
		ask_for_holder(binding, vm, next, report, now);
}

static __always_inline void switch_in(struct task_struct *next, bool was_brief)
{
	struct lh_binding *binding = binding_of(next, running_vcpu(next));
	struct lockhost_hint_slot *slot = binding ? slot_of(binding) : NULL;
	struct lockhost_vcpu_stats *stats;
	uint64_t now;

	if (!slot)
		return;
	now = bpf_ktime_get_ns();
	stats = stats_at(binding->stats_index);
	if (stats)
		account_switch_in(stats, slot, now);
	/*
	 * run_delay learns of this wait only after the tracepoint; until switch-out sets it
	 * right an estimate stands in, which may be too high by the time between two clocks.
	 */
	if (lockhost_state_of(slot->state_word) == LOCKHOST_RUN_STATE_PREEMPTED)
		slot->steal_ns += now - slot->since_ns;
	slot->since_ns = now;
	take_back_recall(binding, next->pid);
	publish_state(slot, LOCKHOST_RUN_STATE_RUNNING);
	if (was_brief)
		binding->announced = 0;
	tell_running(binding, slot->state_word, now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	bool was_brief = settle_displaced(next);

	if (may_be_vcpu(prev))
		switch_out(prev, next, preempt || prev_state == 0);
	if (may_be_vcpu(next))
		switch_in(next, was_brief);
	return 0;
}

/* A sleeping vCPU wants a CPU again. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	struct lockhost_vcpu_stats *stats;
	struct lockhost_hint_slot *slot;
	struct lh_binding *binding;
	uint64_t now;
	uint32_t state;

	/* Also fires for a task that has not left its CPU yet: that one runs. */
	if (!task->bpf_storage || task->on_cpu)
		return 0;
	binding = bpf_task_storage_get(&bindings, task, 0, 0);
	if (!binding || !owns_vcpu(binding, task))
		return 0;
	slot = slot_of(binding);
	if (!slot)
		return 0;
	state = lockhost_state_of(slot->state_word);
	if (state != LOCKHOST_RUN_STATE_HALTED && state != LOCKHOST_RUN_STATE_EXITED)
		return 0;
	now = bpf_ktime_get_ns();
	stats = stats_at(binding->stats_index);
	if (stats)
		account_sleep(stats, slot, now);
	slot->since_ns = now;
	publish_state(slot, LOCKHOST_RUN_STATE_PREEMPTED);
	ask_for_woken(binding, slot->state_word, now);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct lh_binding *binding;
	uint32_t tid = task->pid;

	if (registered_count)
		bpf_map_delete_elem(&registered, &tid);
	if (!task->bpf_storage)
		return 0;
	binding = bpf_task_storage_get(&bindings, task, 0, 0);
	if (binding)
		release_vcpu(binding, task);
	return 0;
}
