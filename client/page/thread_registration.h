/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a process asks the guest agent for a thread page (client/page/thread_page.h), on the
 * connection on which the agent hands the hint page over (SOCK_SEQPACKET). The agent's first
 * message is the page ABI's version in one byte with two descriptors; one that knows of threads
 * adds a second byte, enum lockhost_threads_offer. A library that knows of it, and finds
 * LOCKHOST_THREADS_ON there, may send one lockhost_thread_request and gets one
 * lockhost_thread_reply, with the page's descriptor if it is granted.
 *
 * Either side may be older: a message is cut to what its reader has room for, a missing byte
 * reads as zero, and a request that nobody answers costs the library 100 ms, once.
 */
#ifndef LOCKHOST_CLIENT_PAGE_THREAD_REGISTRATION_H_
#define LOCKHOST_CLIENT_PAGE_THREAD_REGISTRATION_H_

#include "client/page/hint_page.h"

#define LOCKHOST_THREAD_REQUEST_MAGIC 0x5152544cu /* "LTRQ", little-endian */

/* Whether the guest agent gives thread pages, and if not why. */
enum lockhost_threads_offer {
  LOCKHOST_THREADS_UNKNOWN = 0,       /* an agent that knows nothing of them, or none */
  LOCKHOST_THREADS_ON = 1,            /* it does */
  LOCKHOST_THREADS_OFF = 2,           /* it was told not to */
  LOCKHOST_THREADS_UNPRIVILEGED = 3,  /* it lacks CAP_BPF or CAP_PERFMON */
  LOCKHOST_THREADS_NO_BTF = 4,        /* the kernel has no BTF */
  LOCKHOST_THREADS_PID_NAMESPACE = 5, /* it does not run in the first pid namespace */
  LOCKHOST_THREADS_REFUSED = 6,       /* the kernel does not take its programs */
};

enum lockhost_thread_result {
  LOCKHOST_THREAD_RESULT_NONE = 0, /* nobody answered */
  LOCKHOST_THREAD_RESULT_GRANTED = 1,
  LOCKHOST_THREAD_RESULT_BAD_REQUEST = 2,
  LOCKHOST_THREAD_RESULT_ALREADY = 3,   /* the process has one: two copies of the library? */
  LOCKHOST_THREAD_RESULT_TOO_MANY = 4,  /* processes: of this user, altogether, or lately */
  LOCKHOST_THREAD_RESULT_NO_PEER = 5,   /* it has ended, or the agent cannot name it */
  LOCKHOST_THREAD_RESULT_NO_MEMORY = 6, /* or whatever else the kernel lacks */
  LOCKHOST_THREAD_RESULT_COUNT = 7,
};

struct lockhost_thread_request {
  uint32_t magic;       /* LOCKHOST_THREAD_REQUEST_MAGIC */
  uint32_t abi_version; /* LOCKHOST_PAGE_ABI_VERSION */
  /*
   * Where each thread has its number: bytes from its thread pointer (x86: the fs base) to a
   * 32-bit word that is its slot + 1, or 0 while it has none. Read by BPF whenever such a
   * thread leaves its CPU.
   */
  int64_t number_offset;
  uint64_t reserved[2]; /* zero */
};

struct lockhost_thread_reply {
  uint32_t result;   /* enum lockhost_thread_result */
  uint32_t reserved; /* zero */
};

/* A static TLS block is far smaller; what is further away is a mistake. */
#define LOCKHOST_MAX_NUMBER_OFFSET (1 << 24)

LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_thread_request) == 32, "ABI");
LOCKHOST_ABI_ASSERT(sizeof(struct lockhost_thread_reply) == 8, "ABI");

#endif /* LOCKHOST_CLIENT_PAGE_THREAD_REGISTRATION_H_ */
