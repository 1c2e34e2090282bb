/* SPDX-License-Identifier: GPL-2.0 */
/* Maps, configuration, and the smallest accessors. */
#ifndef LOCKHOST_AGENT_BPF_MAPS_BPF_H_
#define LOCKHOST_AGENT_BPF_MAPS_BPF_H_

/* Offsets in bytes within KVM's structs on this kernel. */
const volatile uint32_t vcpu_notifier_offset; /* kvm_vcpu.preempt_notifier.link */
const volatile uint32_t vcpu_kvm_offset;      /* kvm_vcpu.kvm */
const volatile uint32_t vcpu_id_offset;       /* kvm_vcpu.vcpu_id */
const volatile uint32_t vcpu_blocking_offset; /* kvm_vcpu.stat.generic.blocking */

/* Hint events of one VM: one pair ("does not run", "runs again") costs so much ... */
const volatile uint64_t event_pair_cost_ns = 400000;
/* ... and so much may be spent at once. */
const volatile uint64_t event_burst_ns = 100000000;

/* A thread that asked for a slice of at most so many ns gives the CPU back at once. */
const volatile uint64_t brief_slice_ns = 200000;

/* Threads in `registered`; 0 keeps the hash off the switch path. */
uint32_t registered_count;

/* Of lockhost_hint_slot; entry 0 is the header. Sizes, for clang 14 leaves the type out. */
struct vcpu_table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 + LOCKHOST_MAX_SLOTS);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(struct lockhost_hint_slot));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, LH_MAX_VMS);
	__type(key, uint32_t);
	__array(values, struct vcpu_table);
} tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LH_MAX_VMS);
	__type(key, uint32_t);
	__type(value, struct lh_vm);
} vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4 * LH_MAX_VMS);
	__type(key, uint64_t);
	__type(value, struct lh_kvm);
} kvms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, uint32_t);
	__type(value, struct lh_registration);
} registered SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lh_binding);
} bindings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} agent_events SEC(".maps");

/* Consumed by lockhostd. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} hint_ring SEC(".maps");

/* Consumed by the agent's booster. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} boost_ring SEC(".maps");

/* Written by lockhostd: it can cause nothing but its own wake-ups. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LH_MAX_VMS);
	__type(key, uint32_t);
	__type(value, struct lh_interest);
} interest SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LH_LAST_HERE_COUNT);
	__type(key, uint32_t);
	__type(value, struct lh_displaced);
} last_on_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LH_COUNTER_COUNT);
	__type(key, uint32_t);
	__type(value, uint64_t);
} counters SEC(".maps");

static __always_inline void count(uint32_t which)
{
	uint64_t *counter = bpf_map_lookup_elem(&counters, &which);

	if (counter)
		(*counter)++;
}

static __always_inline struct lh_displaced *last_here(uint32_t which)
{
	return bpf_map_lookup_elem(&last_on_cpu, &which);
}

static __always_inline struct lockhost_hint_slot *table_entry(uint32_t vm_index, uint32_t entry)
{
	void *table = bpf_map_lookup_elem(&tables, &vm_index);

	return table ? bpf_map_lookup_elem(table, &entry) : NULL;
}

static __always_inline struct lockhost_hint_slot *slot_of(const struct lh_binding *binding)
{
	return table_entry(binding->vm_index, 1 + binding->vcpu_id);
}

/*
 * State last, in one 64-bit store: whoever loads it with acquire order sees the rest. x86
 * keeps stores in order, so the compiler alone needs to be told.
 */
static __always_inline void publish_state(struct lockhost_hint_slot *slot, uint32_t state)
{
	uint64_t word = lockhost_state_word(state, lockhost_revision_of(slot->state_word) + 1);

	asm volatile("" ::: "memory");
	*(volatile uint64_t *)&slot->state_word = word;
}

/* "No hint"; the revision goes on growing, so that nobody takes it for an old one. */
static __always_inline void clear_slot(struct lockhost_hint_slot *slot)
{
	slot->witness = 0;
	slot->since_ns = 0;
	slot->stopped_ns = 0;
	slot->steal_ns = 0;
	slot->preemptions = 0;
	slot->lock_holder_preemptions = 0;
	slot->recalled = 0;
	publish_state(slot, LOCKHOST_RUN_STATE_UNSPECIFIED);
}

#endif /* LOCKHOST_AGENT_BPF_MAPS_BPF_H_ */
