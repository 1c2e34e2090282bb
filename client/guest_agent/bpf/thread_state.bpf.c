/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What each thread of a registered process does, written by the scheduler itself into the
 * process' thread page, with nobody woken. Runs on every context switch of this guest: what
 * belongs to no such process must leave at once.
 *
 * A thread says in its own memory which slot is its own. That is read whenever it leaves its CPU:
 * then its memory is the one that is mapped. A thread that has not left it since it got its slot
 * is not known.
 *
 * Writers of one slot never meet: switch-out runs while on_cpu is still set, a wake-up waits
 * until it is clear, and switch-in follows the wake-up under the run queue's lock. Two threads
 * that both claim a slot spoil it, for their own process alone.
 */
#include "client/guest_agent/bpf/kernel_types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "client/guest_agent/bpf/shared.h"

char LICENSE[] SEC("license") = "GPL";

/* Of `processes`; 0 keeps the hash off the switch path. */
uint32_t process_count;

/* Which process each page belongs to now, by its id; 0: none. Written by the agent. */
uint64_t table_owner[LT_MAX_PROCESSES];

/* Entry 0 is the header. Sizes, for clang 14 leaves the type out. */
struct thread_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 + LOCKHOST_MAX_THREAD_SLOTS);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(struct lockhost_thread_slot));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LT_MAX_PROCESSES);
	__type(key, uint32_t);
	__array(values, struct thread_table);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LT_MAX_PROCESSES);
	__type(key, uint32_t);
	__type(value, struct lt_process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lt_binding);
} bindings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LT_COUNTER_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} counters SEC(".maps");

static __always_inline void count(uint32_t which)
{
	uint64_t *counter = bpf_map_lookup_elem(&counters, &which);

	if (counter)
		(*counter)++;
}

/* The binding's slot while its process has the page, and no other thread has taken the slot. */
static __always_inline struct lockhost_thread_slot *slot_of(const struct lt_binding *binding)
{
	uint32_t table = binding->table;
	uint32_t entry = binding->number; /* behind the header */
	void *page;

	if (!entry || table >= LT_MAX_PROCESSES || table_owner[table] != binding->id)
		return NULL;
	page = bpf_map_lookup_elem(&tables, &table);
	return page ? bpf_map_lookup_elem(page, &entry) : NULL;
}

static __always_inline struct lockhost_thread_slot *own_slot(const struct lt_binding *binding,
                                                             struct task_struct *task)
{
	struct lockhost_thread_slot *slot = slot_of(binding);

	return slot && slot->owner_tid == (uint32_t)task->pid ? slot : NULL;
}

/* One 64-bit store: a state comes with its CPU and revision. */
static __always_inline void publish(struct lockhost_thread_slot *slot, uint32_t state, uint32_t cpu)
{
	uint64_t revision = (slot->state_word >> LOCKHOST_THREAD_REVISION_SHIFT) + 1;

	*(volatile uint64_t *)&slot->state_word = lockhost_thread_word(state, cpu, revision);
}

/* The thread gives its slot up, if nobody else has taken it since. */
static __always_inline void release(struct lt_binding *binding, struct task_struct *task)
{
	struct lockhost_thread_slot *slot = own_slot(binding, task);

	if (slot) {
		publish(slot, LOCKHOST_THREAD_STATE_UNSPECIFIED, 0);
		slot->owner_tid = 0;
	}
	binding->number = 0;
	binding->id = 0;
}

/*
 * The process that the task belongs to, if it is registered. The first of its threads that is
 * seen says when its leader began, so that another process with its pid is not taken for it:
 * the agent makes sure that it still lived after the entry was there.
 */
static __always_inline struct lt_process *process_of(struct task_struct *task)
{
	uint32_t tgid = task->tgid;
	struct lt_process *process = bpf_map_lookup_elem(&processes, &tgid);
	uint64_t start;

	if (!process)
		return NULL;
	start = task->group_leader->start_boottime;
	if (!process->leader_start)
		process->leader_start = start;
	return process->leader_start == start ? process : NULL;
}

static __always_inline struct lt_binding *bind(struct task_struct *task, struct lt_binding *binding,
                                               const struct lt_process *process, uint32_t number)
{
	struct lockhost_thread_slot *slot;

	if (binding)
		release(binding, task);
	if (number > LOCKHOST_MAX_THREAD_SLOTS) {
		count(LT_OUT_OF_RANGE);
		return NULL;
	}
	if (!number)
		return NULL;
	if (!binding)
		binding = bpf_task_storage_get(&bindings, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!binding) {
		count(LT_BIND_FAILED);
		return NULL;
	}
	binding->id = process->id;
	binding->table = process->table;
	binding->number = number;
	slot = slot_of(binding);
	if (slot)
		slot->owner_tid = (uint32_t)task->pid;
	count(LT_BOUND);
	return binding;
}

/* REQUIRES: the task is the current one. */
static __always_inline struct lt_binding *binding_of_current(struct task_struct *task)
{
	struct lt_process *process = process_of(task);
	struct lt_binding *binding;
	uint32_t number = 0;

	if (!process)
		return NULL;
	binding = bpf_task_storage_get(&bindings, task, 0, 0);
	/* Its memory may be gone; what is said of it ends with on_exit(). */
	if (task->flags & PF_EXITING)
		return binding;
	if (bpf_probe_read_user(&number, sizeof(number),
	                        (void *)(task->thread.fsbase + process->number_offset))) {
		/* Swapped out; what was known of it still holds. */
		count(LT_UNREADABLE);
		return binding;
	}
	if (binding && binding->id == process->id && binding->number == number)
		return binding;
	return bind(task, binding, process, number);
}

static __always_inline void switch_out(struct task_struct *prev, bool runnable)
{
	struct lt_binding *binding = binding_of_current(prev);
	struct lockhost_thread_slot *slot = binding ? own_slot(binding, prev) : NULL;

	if (slot)
		publish(slot,
		        runnable ? LOCKHOST_THREAD_STATE_PREEMPTED : LOCKHOST_THREAD_STATE_ASLEEP,
		        bpf_get_smp_processor_id());
}

static __always_inline void switch_in(struct task_struct *next)
{
	struct lt_binding *binding = bpf_task_storage_get(&bindings, next, 0, 0);
	struct lockhost_thread_slot *slot = binding ? own_slot(binding, next) : NULL;

	if (slot)
		publish(slot, LOCKHOST_THREAD_STATE_ON_CPU, bpf_get_smp_processor_id());
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
             unsigned int prev_state)
{
	if (!process_count)
		return 0;
	if (!(prev->flags & PF_KTHREAD))
		switch_out(prev, preempt || prev_state == 0);
	if (next->bpf_storage)
		switch_in(next);
	return 0;
}

/* A sleeping thread wants a CPU again. */
SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
	struct lockhost_thread_slot *slot;
	struct lt_binding *binding;
	uint64_t word;

	/* Also fires for a task that has not left its CPU yet: that one runs. */
	if (!process_count || !task->bpf_storage || task->on_cpu)
		return 0;
	binding = bpf_task_storage_get(&bindings, task, 0, 0);
	slot = binding ? own_slot(binding, task) : NULL;
	if (!slot)
		return 0;
	word = slot->state_word;
	if (lockhost_thread_state_of(word) == LOCKHOST_THREAD_STATE_ASLEEP)
		publish(slot, LOCKHOST_THREAD_STATE_PREEMPTED, lockhost_thread_cpu_of(word));
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct lt_binding *binding;

	if (!task->bpf_storage)
		return 0;
	binding = bpf_task_storage_get(&bindings, task, 0, 0);
	if (binding)
		release(binding, task);
	return 0;
}

/* Another program, with another layout: what the process has registered is void. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	uint32_t tgid = task->tgid;
	struct lt_binding *binding;

	if (!process_count)
		return 0;
	bpf_map_delete_elem(&processes, &tgid);
	binding = task->bpf_storage ? bpf_task_storage_get(&bindings, task, 0, 0) : NULL;
	if (binding)
		release(binding, task);
	return 0;
}
