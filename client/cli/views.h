// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_VIEWS_H_
#define LOCKHOST_CLIENT_CLI_VIEWS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "client/cli/rates.h"
#include "lockhost/v1/host.pb.h"

// What the commands show: lines of at most 80 columns, without their newlines. Pure.
namespace lockhost::cli {

// `lockhost vms`.
std::vector<std::string> VmTable(const v1::ListVmsResponse& list);

// One message of `lockhost watch`.
std::vector<std::string> WatchFrame(const v1::WatchVmResponse& message, const RateMeter& rates);

// One frame of `lockhost top`, of at most `height` lines (0: any number). Busiest VMs
// first: most lock-holder preemptions, then most steal time. vCPUs are shown below their
// VMs if all of them fit.
std::vector<std::string> TopFrame(const v1::ListVmsResponse& list, const RateMeter& rates,
                                  size_t height);

// One boost of `lockhost trace`: from the preemption on. `now_ns`: the wall clock's, at which the
// boost was told of; the time is the local one.
std::string TraceLine(const v1::Boost& boost, uint64_t now_ns);

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_VIEWS_H_
