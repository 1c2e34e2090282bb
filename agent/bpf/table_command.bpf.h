/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that the agent runs on purpose (BPF_PROG_TEST_RUN): once frozen, a table can
 * be written by BPF alone.
 */
#ifndef LOCKHOST_AGENT_BPF_TABLE_COMMAND_BPF_H_
#define LOCKHOST_AGENT_BPF_TABLE_COMMAND_BPF_H_

struct slot_range {
	uint32_t vm_index;
	uint32_t first;
};

static long clear_one(uint32_t i, void *context)
{
	const struct slot_range *range = context;
	struct lockhost_hint_slot *slot = table_entry(range->vm_index, 1 + range->first + i);

	/* Never written: stays all zero, "no such vCPU seen". */
	if (slot && slot->state_word)
		clear_slot(slot);
	return slot ? 0 : 1;
}

static long free_one(uint32_t vcpu_id, void *context)
{
	const struct slot_range *range = context;
	uint32_t vm_index = range->vm_index;
	struct lh_vm *vm = bpf_map_lookup_elem(&vms, &vm_index);

	/* While the VM is followed its records are in use. */
	if (vm && !vm->vm_id)
		free_stats_of(vm, vcpu_id);
	return 0;
}

static __always_inline void set_header(uint32_t vm_index, uint32_t mode, uint64_t generation)
{
	struct lockhost_hint_header *header = (void *)table_entry(vm_index, 0);

	if (!header)
		return;
	header->mode = mode;
	*(volatile uint64_t *)&header->generation = generation;
}

SEC("syscall")
int table_command(struct lh_table_command *command)
{
	struct slot_range range = {
		.vm_index = command->vm_index,
		.first = command->first_slot,
	};

	if (command->operation == LH_SET_HEADER) {
		set_header(command->vm_index, command->mode, command->generation);
		return 0;
	}
	if (command->operation == LH_FREE_STATS) {
		bpf_loop(LOCKHOST_MAX_SLOTS, free_one, &range, 0);
		return 0;
	}
	if (command->operation != LH_CLEAR_SLOTS || command->end_slot > LOCKHOST_MAX_SLOTS ||
	    command->first_slot > command->end_slot)
		return -1;
	bpf_loop(command->end_slot - command->first_slot, clear_one, &range, 0);
	return 0;
}

static long retire_one(uint32_t vm_index, void *context)
{
	struct slot_range range = { .vm_index = vm_index };
	struct lh_vm *vm = bpf_map_lookup_elem(&vms, &vm_index);

	/* Detaching takes its time: from here on nothing writes this VM's table any more. */
	if (vm)
		vm->vm_id = 0;
	bpf_loop(LOCKHOST_MAX_SLOTS, clear_one, &range, 0);
	set_header(vm_index, LOCKHOST_MODE_UNSPECIFIED, 0);
	return 0;
}

/*
 * Makes every table say "no hint", for good. Needs no input and is pinned under this
 * name, so that an agent of another build can retire what this one leaves behind.
 */
SEC("syscall")
int retire(void *unused)
{
	bpf_loop(LH_MAX_VMS, retire_one, NULL, 0);
	return 0;
}

#endif /* LOCKHOST_AGENT_BPF_TABLE_COMMAND_BPF_H_ */
