// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_CLIENT_CLI_VM_CHOICE_H_
#define LOCKHOST_CLIENT_CLI_VM_CHOICE_H_

#include <string>

#include "absl/status/statusor.h"
#include "lockhost/v1/host.pb.h"

namespace lockhost::cli {

// The VM that the operator means: by id, else by name or UUID, else by a prefix of any of
// these that only one VM has. NOT_FOUND; INVALID_ARGUMENT lists the VMs it could be. Pure.
absl::StatusOr<v1::Vm> ChooseVm(const v1::ListVmsResponse& list, const std::string& wanted);

}  // namespace lockhost::cli

#endif  // LOCKHOST_CLIENT_CLI_VM_CHOICE_H_
