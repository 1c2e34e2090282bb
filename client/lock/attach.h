// SPDX-License-Identifier: Apache-2.0
//
// Finds and maps the guest agent's pages. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_ATTACH_H_
#define LOCKHOST_CLIENT_LOCK_ATTACH_H_

#include <cstddef>
#include <cstdint>

#include "client/lock/lockhost.h"
#include "client/page/hint_reader.h"
#include "client/page/thread_reader.h"
#include "client/page/thread_registration.h"

namespace lockhost::lock {

// Whether the process has a thread page, and if not why.
struct ThreadsState {
  lockhost_threads_offer offer;
  lockhost_thread_result result;  // of the request; NONE where none was made
  bool mapped;                    // false with GRANTED: what came is no such page
};

// What a guest agent gives; descriptors are the receiver's, -1: none.
struct AgentAnswer {
  int hint_fd = -1;
  int report_fd = -1;
  int thread_fd = -1;
  ThreadsState threads = {};
};

// Asks the guest agent at its socket for the two pages and, if `number_offset` is not null and the
// agent gives them, for this process' thread page (thread_registration.h). True: the two pages
// are there. Waits for an agent that does not answer for 100 ms at most, twice.
bool ReceivePages(const char* socket_path, const int64_t* number_offset, AgentAnswer* answer);

// The two pages alone.
bool ReceivePages(const char* socket_path, int* hint_fd, int* report_fd);

// Maps the pages and checks them, and that nobody can take them away: a page that shrinks under
// an application kills it (SIGBUS). So only a memfd sealed against that is mapped, and a device's
// memory (sysfs), which cannot. On success fills `pages`; on failure leaves it zero. A report page
// that is missing (-1) or bad costs the reports alone. The mappings are never undone; the
// descriptors stay the caller's.
lockhost_status_code_t MapPages(int hint_fd, int report_fd, lockhost_pages* pages);

// The same with the files at the two paths.
lockhost_status_code_t MapPageFiles(const char* hint_path, const char* report_path,
                                    lockhost_pages* pages);

// Maps a thread page and checks it, and that nobody in user space can write it or take it away:
// only a frozen BPF array is mapped, which its /proc/self/fdinfo tells. On success fills in all
// of `threads` but the vCPUs of the CPUs; on failure leaves it zero. `lease` as mapped.
bool MapThreadPage(int fd, const lockhost_hint_header* lease, lockhost_threads* threads);

// Bytes of the map that an fdinfo text describes; 0: it is no frozen BPF array. Pure.
uint64_t FrozenArrayBytes(const char* text, size_t size);

// Where threads have their numbers, and where to put the page that shows them.
struct ThreadWish {
  int64_t number_offset;
  lockhost_threads* threads;
};

// The same as MapPageFiles() with what the guest agent gives; with a wish, a thread page too.
lockhost_status_code_t MapPagesOfAgent(const char* socket_path, lockhost_pages* pages,
                                       const ThreadWish* wish = nullptr,
                                       ThreadsState* state = nullptr);

// Reads "processor" and "apicid" lines of /proc/cpuinfo text into `vcpu_of_cpu`
// (`count` entries). What the text does not mention, or mentions out of range, stays
// as it is. Relaxed atomic stores: lock operations may read the map meanwhile.
void ParseApicIds(const char* text, size_t size, uint16_t* vcpu_of_cpu, uint32_t count);

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_ATTACH_H_
