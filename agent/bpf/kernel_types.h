/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel types and fields that the programs read. preserve_access_index makes
 * libbpf look up each field's offset on the running kernel, so nothing of the build
 * machine's kernel is built in and no vmlinux.h is needed.
 *
 * struct kvm and struct kvm_vcpu are not here: they may live in a module (kvm.ko), whose
 * BTF libbpf cannot reach with the agent's privileges; their offsets come from user
 * space (agent/kernel/kvm_offsets.h).
 */
#ifndef LOCKHOST_AGENT_BPF_KERNEL_TYPES_H_
#define LOCKHOST_AGENT_BPF_KERNEL_TYPES_H_

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

typedef __u16 uint16_t;
typedef __u32 uint32_t;
typedef __u64 uint64_t;
typedef __s32 int32_t;
typedef __s64 int64_t;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct sched_info {
	unsigned long long run_delay; /* ns spent runnable without a CPU */
};

struct sched_entity {
	uint64_t slice; /* ns; since 6.6, and since 6.12 a thread may ask for its own */
};

struct bpf_local_storage;

struct task_struct {
	unsigned int flags;
	int on_cpu;
	int pid;  /* what user space calls the tid */
	int tgid; /* what user space calls the pid */
	struct task_struct *group_leader;
	uint64_t start_boottime;
	struct sched_entity se;
	struct sched_info sched_info;
	struct hlist_head preempt_notifiers; /* KVM's, while inside KVM_RUN; no one else's */
	struct bpf_local_storage *bpf_storage;
};

#pragma clang attribute pop

#define PF_KTHREAD 0x00200000

#endif /* LOCKHOST_AGENT_BPF_KERNEL_TYPES_H_ */
