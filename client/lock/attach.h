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

// Maps the pages at the two paths and checks them. On success fills `pages`; on
// failure leaves it zero. A report page that is missing or bad costs the reports
// alone. The mappings are never undone.
lockhost_status_code_t MapPages(const char* hint_path, const char* report_path,
                                lockhost_pages* pages);

// Reads "processor" and "apicid" lines of /proc/cpuinfo text into `vcpu_of_cpu`
// (`count` entries). What the text does not mention, or mentions out of range, stays
// as it is. Relaxed atomic stores: lock operations may read the map meanwhile.
void ParseApicIds(const char* text, size_t size, uint16_t* vcpu_of_cpu, uint32_t count);

}  // namespace lockhost::lock

#endif  // LOCKHOST_CLIENT_LOCK_ATTACH_H_
