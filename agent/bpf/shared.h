/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Records that the BPF programs and the agent's user space share. Plain C, read by
 * both compilers. A change of any of them changes the object, hence the name of the
 * pin directory (agent/source/bpf_pins.h): programs and maps of two builds never mix.
 */
#ifndef LOCKHOST_AGENT_BPF_SHARED_H_
#define LOCKHOST_AGENT_BPF_SHARED_H_

#include "agent/table/vcpu_stats.h"
#include "client/page/hint_page.h"
#include "client/page/report_page.h"

#define LH_MAX_VMS 256u
#define LH_NO_VM 0xffffffffu
/* vCPUs that are asked whether they wait for a preempted holder, some 30 ns each. */
#define LH_MAX_SEARCHED 64u

/*
 * One VM, in the array `vms` at its vm_index. The first part is written by the agent, the
 * second by the programs alone. An index is in use while vm_id != 0; every program
 * compares vm_id with what it remembers, so a reused index is never mistaken.
 */
struct lh_vm {
	uint64_t vm_id; /* stored last (release) when a VM comes, first when it goes */
	uint64_t kvm;   /* struct kvm *; 0: threads that were registered */
	uint64_t generation;
	uint64_t start_ticks;    /* of the process, /proc/PID/stat field 22 */
	uint64_t report_address; /* of the report page in the process; 0: none */
	uint32_t report_slots;
	int32_t tgid;
	uint64_t boost_from_ns; /* ktime: boosts may be asked for from then on; ~0: never */
	uint64_t heirs_from_ns; /* the same for heirs, which are to leave something to holders */

	uint32_t live;        /* vCPUs that have a thread */
	uint32_t seen;        /* vCPUs that ever had one */
	uint64_t events_from; /* ktime ns: up to here this VM's hint events are paid for */
	uint64_t reserved_bpf[6];

	/* tid of the thread that runs the vCPU, 0: none. Not in the table: no guest's business. */
	uint32_t owner[LOCKHOST_MAX_SLOTS];
	uint16_t stats_index[LOCKHOST_MAX_SLOTS]; /* of `vcpu_stats`; 0: none */
};

/* Hash `kvms`: struct kvm * -> VM. The process guards against a reused address. */
struct lh_kvm {
	uint64_t vm_id;
	uint64_t leader_start_ns; /* task_struct.start_boottime of the thread group's leader */
	uint32_t vm_index;        /* LH_NO_VM: announced, and not (or never to be) followed */
	int32_t tgid;
};

/* Hash `registered`: tid -> vCPU, for threads that run no KVM vCPU. */
struct lh_registration {
	uint64_t vm_id;
	uint32_t vm_index;
	uint32_t vcpu_id;
	int32_t tgid;
	uint32_t reserved;
};

/* Task storage: the vCPU that a thread runs. vm_id 0: none. */
struct lh_binding {
	uint64_t vcpu; /* struct kvm_vcpu *, only to be compared; 0 for registered threads */
	uint64_t vm_id;
	uint64_t steal_offset_ns; /* steal_ns - run_delay, when the vCPU changed threads */
	uint32_t vm_index;
	uint32_t vcpu_id;
	uint32_t announced; /* a hint event told, or is about to tell, that it does not run */
	uint32_t witnessed; /* its report word was readable when it last stopped */
	uint32_t stats_index;
	uint32_t reserved;
};

/* Ring `agent_events`: rare things that the agent must know. */
enum lh_agent_event_kind {
	LH_NEW_KVM = 1,      /* a VM that is not in `kvms` */
	LH_VCPUS_CHANGED = 2 /* of VM vm_index: a first vCPU thread came, or the last went */
};

struct lh_agent_event {
	uint32_t kind;
	int32_t tgid;
	uint64_t kvm;
	uint64_t leader_start_ns;
	uint32_t vm_index;
	uint32_t reserved;
};

/* Who is to be told that an awaited vCPU has stopped; the booster of a holder or of an heir. */
enum lh_told { LH_TELL_GUEST = 1, LH_TELL_BOOSTER = 2, LH_TELL_HEIR = 4 };

/* Per-CPU array `last_on_cpu`, each tid 0 for none. */
enum lh_last_here {
	LH_DISPLACED = 0, /* gave way to a brief thread */
	LH_RECALLED,      /* a holder that a boost was asked for when it lost this CPU */
	LH_LAST_HERE_COUNT
};

/* A vCPU that has stopped and is awaited. */
struct lh_displaced {
	uint64_t vm_id;
	uint64_t state_word;
	uint64_t report_word;
	uint32_t vm_index;
	uint32_t vcpu_id;
	uint32_t tid;
	uint32_t told; /* enum lh_told */
	uint64_t at_ns;
};

/* Ring `boost_ring`: a vCPU has no CPU that holds a lock somebody waits for, or is its heir. */
struct lh_boost_event {
	uint64_t vm_id;
	uint64_t state_word;
	uint64_t report_word;
	uint64_t at_ns; /* since when it has no CPU while somebody waits, ktime */
	uint32_t vm_index;
	uint32_t vcpu_id;
	uint32_t is_heir; /* 0: a holder */
	uint32_t reserved;
};

/* As HintEvent and InterestEntry of agent/channel/protocol.h. */
struct lh_hint_event {
	uint64_t vm_id;
	uint32_t vm_index;
	uint32_t vcpu_id;
	uint64_t state_word;
	uint64_t at_ns;
};

struct lh_interest {
	uint64_t vm_id;
	uint64_t demand_until_ns;
	uint64_t awaited[LOCKHOST_MAX_SLOTS / 64];
	uint64_t reserved[14];
};

/* Input of the program `table_command`: what user space cannot do to a frozen table. */
enum lh_table_operation { LH_CLEAR_SLOTS = 1, LH_SET_HEADER = 2, LH_FREE_STATS = 3 };

struct lh_table_command {
	uint32_t operation;
	uint32_t vm_index;
	uint32_t first_slot; /* LH_CLEAR_SLOTS: [first_slot, end_slot) */
	uint32_t end_slot;
	uint32_t mode; /* LH_SET_HEADER */
	uint32_t reserved;
	uint64_t generation;
};

/* Per-CPU array `counters`. */
enum lh_counter {
	LH_EVENTS = 0,           /* hint events delivered to the ring */
	LH_EVENTS_SUPPRESSED,    /* not sent: the VM had used up its budget */
	LH_EVENTS_LOST,          /* not sent: the ring was full */
	LH_EVENTS_BRIEF,         /* not sent: back on its CPU after a thread with a short slice */
	LH_ANNOUNCEMENTS_LOST,   /* agent_events was full; tried again at the next switch */
	LH_BIND_FAILED,          /* no memory for a binding; tried again at the next switch */
	LH_VCPU_ID_OUT_OF_RANGE, /* sightings of vCPUs with an id >= LOCKHOST_MAX_SLOTS */
	LH_REPORT_UNREADABLE,    /* a report word was not in memory at the switch */
	LH_STATS_EXHAUSTED,      /* a vCPU without statistics: all records are in use */
	LH_BOOSTS_ASKED,         /* boost events delivered to the ring */
	LH_BOOSTS_LOST,          /* not sent: the ring was full */
	LH_COUNTER_COUNT
};

LOCKHOST_ABI_ASSERT(sizeof(struct lh_vm) == 128 + 6 * LOCKHOST_MAX_SLOTS, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_kvm) == 24, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_registration) == 24, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_binding) == 48, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_agent_event) == 32, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_displaced) == 48, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_boost_event) == 48, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_hint_event) == 32, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_interest) == 256, "shared with BPF");
LOCKHOST_ABI_ASSERT(sizeof(struct lh_table_command) == 32, "shared with BPF");

#endif /* LOCKHOST_AGENT_BPF_SHARED_H_ */
