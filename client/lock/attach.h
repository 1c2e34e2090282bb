// SPDX-License-Identifier: Apache-2.0
//
// Finds and maps the guest agent's pages. Private to the library.
#ifndef LOCKHOST_CLIENT_LOCK_ATTACH_H_
#define LOCKHOST_CLIENT_LOCK_ATTACH_H_

#include <cstddef>
#include <cstdint>

#include "client/lock/lockhost.h"
#include "client/page/hint_reader.h"

namespace lockhost::lock {

// Asks the guest agent at its socket for the two pages. True: *hint_fd and *report_fd are the
// caller's. Waits for an agent that does not answer for 100 ms at most.
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

// The same with what the guest agent gives.
lockhost_status_code_t MapPagesOfAgent(const char* socket_path, lockhost_pages* pages);

// Reads "processor" and "apicid" lines of /proc/cpuinfo text into `vcpu_of_cpu`
// (`count` entries). What the text does not mention, or mentions out of range, stays
// as it is. Relaxed atomic stores: lock operations may read the map meanwhile.
void ParseApicIds(const char* text, size_t size, uint16_t* vcpu_of_cpu, uint32_t count);

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_ATTACH_H_
