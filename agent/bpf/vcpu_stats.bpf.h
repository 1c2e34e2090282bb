/* SPDX-License-Identifier: GPL-2.0 */
/* A vCPU's books (agent/table/vcpu_stats.h), kept at its switches and wake-ups. */
#ifndef LOCKHOST_AGENT_BPF_VCPU_STATS_BPF_H_
#define LOCKHOST_AGENT_BPF_VCPU_STATS_BPF_H_

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LOCKHOST_MAX_VCPU_STATS);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(struct lockhost_vcpu_stats));
} vcpu_stats SEC(".maps");

/* Indices of free records; filled by the agent before the programs are attached. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, LOCKHOST_MAX_VCPU_STATS);
	__uint(value_size, sizeof(uint32_t));
} free_stats SEC(".maps");

static __always_inline struct lockhost_vcpu_stats *stats_at(uint32_t index)
{
	return index ? bpf_map_lookup_elem(&vcpu_stats, &index) : NULL;
}

/* REQUIRES: vcpu_id < LOCKHOST_MAX_SLOTS; the mask proves it to the verifier. */
static __always_inline uint16_t *stats_index_of(struct lh_vm *vm, uint32_t vcpu_id)
{
	uint64_t index = vcpu_id;

	asm volatile("%0 &= %1" : "+r"(index) : "i"(LOCKHOST_MAX_SLOTS - 1));
	return &vm->stats_index[index];
}

/*
 * The vCPU's record, a new one at its first thread. KVM lets one thread at a time run a
 * vCPU, so two never come here for the same one.
 */
static __always_inline uint32_t take_stats(struct lh_vm *vm, const struct lh_binding *binding)
{
	uint16_t *index = stats_index_of(vm, binding->vcpu_id);
	struct lockhost_vcpu_stats *stats;
	uint32_t fresh = 0;

	if (*index)
		return *index;
	if (bpf_map_pop_elem(&free_stats, &fresh)) {
		count(LH_STATS_EXHAUSTED);
		return 0;
	}
	stats = stats_at(fresh);
	if (!stats)
		return 0;
	stats->vcpu_id = binding->vcpu_id;
	stats->cpu = bpf_get_smp_processor_id();
	*(volatile uint64_t *)&stats->vm_id = binding->vm_id;
	*index = fresh;
	return fresh;
}

/* Gives back the record of one vCPU of a VM that has ended (vm_id 0). */
static __always_inline void free_stats_of(struct lh_vm *vm, uint32_t vcpu_id)
{
	uint16_t *index = stats_index_of(vm, vcpu_id);
	uint32_t freed = *index;
	struct lockhost_vcpu_stats *stats = stats_at(freed);

	*index = 0;
	if (!stats)
		return;
	__builtin_memset(stats, 0, sizeof(*stats));
	bpf_map_push_elem(&free_stats, &freed, BPF_ANY);
}

static __always_inline uint32_t duration_bucket(uint64_t ns)
{
	uint64_t rest = ns >> 11;
	uint32_t bucket = 0;

#pragma unroll
	for (uint32_t step = 16; step; step /= 2) {
		if (rest >> step) {
			rest >>= step;
			bucket += step;
		}
	}
	bucket += rest != 0;
	return bucket < LOCKHOST_DURATION_BUCKETS ? bucket : LOCKHOST_DURATION_BUCKETS - 1;
}

/* A histogram's bucket; the asm keeps the bound where the verifier sees it. */
static __always_inline void count_duration(uint32_t *buckets, uint64_t ns)
{
	uint64_t bucket = duration_bucket(ns);

	asm volatile("" : "+r"(bucket));
	if (bucket < LOCKHOST_DURATION_BUCKETS)
		buckets[bucket]++;
}

/* REQUIRES: before the slot learns of the switch. */
static __always_inline void account_switch_out(struct lockhost_vcpu_stats *stats,
                                               const struct lockhost_hint_slot *slot, uint64_t now)
{
	stats->switch_outs++;
	if (lockhost_state_of(slot->state_word) == LOCKHOST_RUN_STATE_RUNNING)
		stats->run_ns += now - slot->since_ns;
}

/* The vCPU sleeps no longer. REQUIRES: as above. */
static __always_inline void account_sleep(struct lockhost_vcpu_stats *stats,
                                          const struct lockhost_hint_slot *slot, uint64_t now)
{
	uint32_t state = lockhost_state_of(slot->state_word);

	if (state == LOCKHOST_RUN_STATE_HALTED)
		stats->halted_ns += now - slot->since_ns;
	else if (state == LOCKHOST_RUN_STATE_EXITED)
		stats->exited_ns += now - slot->since_ns;
}

/* It was preempted, not woken and made to wait, if nothing has happened since it stopped. */
static __always_inline void account_preemption(struct lockhost_vcpu_stats *stats,
                                               const struct lockhost_hint_slot *slot, uint64_t now)
{
	uint64_t lasted = now - slot->since_ns;

	if (lockhost_state_of(slot->state_word) != LOCKHOST_RUN_STATE_PREEMPTED ||
	    slot->since_ns != slot->stopped_ns)
		return;
	stats->preempted_ns += lasted;
	count_duration(stats->preempted, lasted);
	if (!is_held(slot->witness))
		return;
	stats->holder_preempted_ns += lasted;
	count_duration(stats->holder_preempted, lasted);
}

/* REQUIRES: as above. */
static __always_inline void account_switch_in(struct lockhost_vcpu_stats *stats,
                                              const struct lockhost_hint_slot *slot, uint64_t now)
{
	uint32_t cpu = bpf_get_smp_processor_id();

	account_sleep(stats, slot, now);
	account_preemption(stats, slot, now);
	if (stats->cpu != cpu) {
		stats->cpu = cpu;
		stats->migrations++;
	}
}

#endif /* LOCKHOST_AGENT_BPF_VCPU_STATS_BPF_H_ */
