/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest agent and its BPF program say to one another. */
#ifndef LOCKHOST_CLIENT_GUEST_AGENT_BPF_SHARED_H_
#define LOCKHOST_CLIENT_GUEST_AGENT_BPF_SHARED_H_

#include "client/page/thread_page.h"

/* Processes with a thread page at one time; each page is 68 KiB of kernel memory. */
#define LT_MAX_PROCESSES 128u

/* By tgid. */
struct lt_process {
	uint64_t id;           /* never used twice */
	int64_t number_offset; /* from a thread's pointer to its number */
	uint64_t leader_start; /* start_boottime of the leader; 0 until a thread was seen */
	uint32_t table;        /* index of its page */
	uint32_t reserved;
};

/* Of a thread, in task storage: its place in a page. */
struct lt_binding {
	uint64_t id; /* of the process; 0: none */
	uint32_t table;
	uint32_t number; /* slot + 1; 0: none */
};

enum lt_counter {
	LT_BOUND = 0,        /* threads that got to know their slot */
	LT_UNREADABLE = 1,   /* the thread's number was not in memory */
	LT_OUT_OF_RANGE = 2, /* the page has no such slot */
	LT_BIND_FAILED = 3,  /* no memory for a binding */
	LT_COUNTER_COUNT = 4,
};

#endif /* LOCKHOST_CLIENT_GUEST_AGENT_BPF_SHARED_H_ */
