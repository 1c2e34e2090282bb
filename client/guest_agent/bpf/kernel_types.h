/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel types and fields that the programs read. preserve_access_index makes libbpf
 * look up each field's offset on the running kernel, so nothing of the build machine's kernel
 * is built in and no vmlinux.h is needed.
 */
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_BPF_KERNEL_TYPES_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_BPF_KERNEL_TYPES_H_

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

struct bpf_local_storage;

struct thread_struct {
	unsigned long fsbase; /* x86: where the C library's thread pointer points */
};

struct task_struct {
	unsigned int flags;
	int on_cpu;
	int pid;  /* what user space calls the tid */
	int tgid; /* what user space calls the pid */
	struct task_struct *group_leader;
	uint64_t start_boottime;
	struct bpf_local_storage *bpf_storage;
	struct thread_struct thread;
};

#pragma clang attribute pop

#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000

#endif /* LOCKHOST_CLIENT_GUEST_AGENT_BPF_KERNEL_TYPES_H_ */
