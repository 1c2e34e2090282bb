/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which vCPU a thread runs. KVM's preempt notifier names the vCPU while the thread is
 * inside KVM_RUN; the binding, kept in task storage, speaks for it everywhere else. The
 * last thread to bind a vCPU owns it; what others still believe is ignored.
 */
#ifndef LOCKHOST_AGENT_BPF_BINDING_BPF_H_
#define LOCKHOST_AGENT_BPF_BINDING_BPF_H_

/* The first test of every switch on this host: two loads for whoever is no vCPU. */
static __always_inline bool may_be_vcpu(struct task_struct *task)
{
	return task->preempt_notifiers.first || task->bpf_storage ||
	       (registered_count && !(task->flags & PF_KTHREAD));
}

/* Address of the struct kvm_vcpu whose KVM_RUN the task is inside of, or 0. */
static __always_inline uint64_t running_vcpu(struct task_struct *task)
{
	uint64_t link = (uint64_t)task->preempt_notifiers.first;

	return link ? link - vcpu_notifier_offset : 0;
}

/* REQUIRES: vcpu_id < LOCKHOST_MAX_SLOTS; the mask proves it to the verifier. */
static __always_inline uint32_t *owner_of(struct lh_vm *vm, uint32_t vcpu_id)
{
	uint64_t index = vcpu_id;

	asm volatile("%0 &= %1" : "+r"(index) : "i"(LOCKHOST_MAX_SLOTS - 1));
	return &vm->owner[index];
}

/* The binding's VM if it still is that VM. */
static __always_inline struct lh_vm *vm_of(const struct lh_binding *binding)
{
	uint32_t vm_index = binding->vm_index;
	struct lh_vm *vm = bpf_map_lookup_elem(&vms, &vm_index);

	return vm && binding->vm_id && vm->vm_id == binding->vm_id ? vm : NULL;
}

static __always_inline bool owns_vcpu(const struct lh_binding *binding, struct task_struct *task)
{
	struct lh_vm *vm = vm_of(binding);

	return vm && *owner_of(vm, binding->vcpu_id) == (uint32_t)task->pid;
}

static __always_inline void announce(uint32_t kind, struct task_struct *task, uint64_t kvm,
                                     uint32_t vm_index)
{
	struct lh_agent_event *event = bpf_ringbuf_reserve(&agent_events, sizeof(*event), 0);

	if (!event) {
		count(LH_ANNOUNCEMENTS_LOST);
		return;
	}
	event->kind = kind;
	event->tgid = task->tgid;
	event->kvm = kvm;
	event->leader_start_ns = task->group_leader->start_boottime;
	event->vm_index = vm_index;
	event->reserved = 0;
	bpf_ringbuf_submit(event, 0);
}

/* Once for each VM: the entry keeps later switches quiet. No entry if the ring is full. */
static __always_inline void announce_kvm(struct task_struct *task, uint64_t kvm)
{
	struct lh_kvm entry = {
		.leader_start_ns = task->group_leader->start_boottime,
		.vm_index = LH_NO_VM,
		.tgid = task->tgid,
	};
	uint64_t room = bpf_ringbuf_query(&agent_events, BPF_RB_RING_SIZE) -
	                bpf_ringbuf_query(&agent_events, BPF_RB_AVAIL_DATA);

	if (room < 4096 || bpf_map_update_elem(&kvms, &kvm, &entry, BPF_ANY)) {
		count(LH_ANNOUNCEMENTS_LOST);
		return;
	}
	announce(LH_NEW_KVM, task, kvm, LH_NO_VM);
}

/* Gives up the vCPU that the task ran, if nobody has taken it over. */
static __always_inline void release_vcpu(struct lh_binding *binding, struct task_struct *task)
{
	struct lh_vm *vm = vm_of(binding);
	uint32_t tid = task->pid;

	if (vm && __sync_val_compare_and_swap(owner_of(vm, binding->vcpu_id), tid, 0) == tid) {
		struct lockhost_hint_slot *slot = slot_of(binding);

		if (slot)
			clear_slot(slot);
		if (__sync_fetch_and_add(&vm->live, -1) == 1)
			announce(LH_VCPUS_CHANGED, task, 0, binding->vm_index);
	}
	binding->vm_id = 0;
	binding->vcpu = 0;
	binding->announced = 0;
}

/* Counts a newly owned vCPU, and carries its steal time over from its last thread. */
static __always_inline void take_vcpu(struct lh_binding *binding, struct task_struct *task,
                                      struct lh_vm *vm)
{
	struct lockhost_hint_slot *slot = slot_of(binding);
	uint32_t before =
		__sync_lock_test_and_set(owner_of(vm, binding->vcpu_id), (uint32_t)task->pid);

	binding->stats_index = take_stats(vm, binding);
	if (!slot)
		return;
	if (before == 0) {
		__sync_fetch_and_add(&vm->live, 1);
		binding->steal_offset_ns = 0;
		if (slot->state_word == 0) {
			__sync_fetch_and_add(&vm->seen, 1);
			announce(LH_VCPUS_CHANGED, task, 0, binding->vm_index);
		}
	} else {
		binding->steal_offset_ns = slot->steal_ns - task->sched_info.run_delay;
	}
}

static __always_inline struct lh_binding *bind(struct task_struct *task, struct lh_binding *old,
                                               struct lh_binding *wanted)
{
	uint32_t vm_index = wanted->vm_index;
	struct lh_vm *vm = bpf_map_lookup_elem(&vms, &vm_index);
	struct lh_binding *binding;

	if (!vm || vm->vm_id != wanted->vm_id)
		return NULL;
	if (old)
		release_vcpu(old, task);
	binding = bpf_task_storage_get(&bindings, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!binding) {
		count(LH_BIND_FAILED);
		return NULL;
	}
	*binding = *wanted;
	take_vcpu(binding, task, vm);
	return binding;
}

static __always_inline struct lh_binding *bind_kvm(struct task_struct *task, uint64_t vcpu,
                                                   struct lh_binding *old)
{
	struct lh_binding wanted = { .vcpu = vcpu };
	struct lh_kvm *entry;
	uint64_t kvm = 0;
	uint32_t id = 0;

	if (bpf_probe_read_kernel(&kvm, sizeof(kvm), (void *)(vcpu + vcpu_kvm_offset)) ||
	    bpf_probe_read_kernel(&id, sizeof(id), (void *)(vcpu + vcpu_id_offset)))
		return NULL;
	if (id >= LOCKHOST_MAX_SLOTS) {
		count(LH_VCPU_ID_OUT_OF_RANGE);
		return NULL;
	}
	entry = bpf_map_lookup_elem(&kvms, &kvm);
	if (!entry || entry->tgid != task->tgid ||
	    entry->leader_start_ns != task->group_leader->start_boottime) {
		announce_kvm(task, kvm);
		return NULL;
	}
	if (entry->vm_index >= LH_MAX_VMS)
		return NULL;
	wanted.vm_id = entry->vm_id;
	wanted.vm_index = entry->vm_index;
	wanted.vcpu_id = id;
	return bind(task, old, &wanted);
}

static __always_inline struct lh_binding *bind_registered(struct task_struct *task,
                                                          struct lh_binding *old)
{
	struct lh_binding wanted = {};
	uint32_t tid = task->pid;
	struct lh_registration *entry = bpf_map_lookup_elem(&registered, &tid);

	if (!entry || entry->tgid != task->tgid || entry->vcpu_id >= LOCKHOST_MAX_SLOTS)
		return NULL;
	wanted.vm_id = entry->vm_id;
	wanted.vm_index = entry->vm_index;
	wanted.vcpu_id = entry->vcpu_id;
	return bind(task, old, &wanted);
}

/* The task's binding, made or renewed if need be; NULL if it runs no followed vCPU. */
static __always_inline struct lh_binding *binding_of(struct task_struct *task, uint64_t vcpu)
{
	struct lh_binding *binding = bpf_task_storage_get(&bindings, task, 0, 0);

	if (binding && (!vcpu || binding->vcpu == vcpu) && owns_vcpu(binding, task))
		return binding;
	if (vcpu)
		return bind_kvm(task, vcpu, binding);
	if (registered_count)
		return bind_registered(task, binding);
	return NULL;
}

#endif /* LOCKHOST_AGENT_BPF_BINDING_BPF_H_ */
