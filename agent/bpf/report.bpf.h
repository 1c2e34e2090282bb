/* SPDX-License-Identifier: GPL-2.0 */
/* Report words: what the guest says of its locks at the switch. */
#ifndef LOCKHOST_AGENT_BPF_REPORT_BPF_H_
#define LOCKHOST_AGENT_BPF_REPORT_BPF_H_

static __always_inline uint64_t report_slot_at(uint64_t page, uint32_t vcpu_id)
{
	return page + sizeof(struct lockhost_report_header) +
	       (uint64_t)vcpu_id * sizeof(struct lockhost_report_slot);
}

/*
 * Address of the vCPU's report slot in prev's address space, 0 if there is none. Only
 * meaningful while prev's memory map is loaded: at its own switch-out.
 */
static __always_inline uint64_t report_slot(const struct lh_vm *vm, uint32_t vcpu_id, int32_t tgid)
{
	if (!vm->report_address || vcpu_id >= vm->report_slots || vm->tgid != tgid)
		return 0;
	return report_slot_at(vm->report_address, vcpu_id);
}

/* False if there is none, or it is not in memory. */
static __always_inline bool read_report_word(uint64_t report, uint64_t *word)
{
	*word = 0;
	if (!report)
		return false;
	if (!bpf_probe_read_user(word, sizeof(*word), (void *)report))
		return true;
	count(LH_REPORT_UNREADABLE);
	return false;
}

static __always_inline bool is_held(uint64_t report_word)
{
	return report_word & LOCKHOST_REPORT_HOLDER_MASK;
}

/* LOCKHOST_WAIT_* of the thread that last waited on this vCPU; 0 where it is not in memory. */
static __always_inline uint64_t read_wait_role(uint64_t report)
{
	uint64_t role = 0;

	bpf_probe_read_user(&role, sizeof(role),
	                    (void *)(report + LOCKHOST_REPORT_WAIT_ROLE_OFFSET));
	return role;
}

#endif /* LOCKHOST_AGENT_BPF_REPORT_BPF_H_ */
