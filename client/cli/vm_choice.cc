// SPDX-License-Identifier: Apache-2.0
#include "client/cli/vm_choice.h"

#include <functional>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace lockhost::cli {
namespace {

using Matches = std::function<bool(const v1::Vm&)>;

std::vector<const v1::Vm*> Find(const v1::ListVmsResponse& list, const Matches& matches) {
  std::vector<const v1::Vm*> found;
  for (const v1::Vm& vm : list.vms()) {
    if (matches(vm)) found.push_back(&vm);
  }
  return found;
}

absl::Status Ambiguous(const std::string& wanted, const std::vector<const v1::Vm*>& found) {
  constexpr size_t kNamed = 5;
  std::string text = absl::StrCat("more than one VM answers to ", wanted, ":");
  for (size_t i = 0; i < found.size() && i < kNamed; ++i) {
    absl::StrAppend(&text, " ", found[i]->vm_id());
    if (!found[i]->name().empty()) absl::StrAppend(&text, " (", Printable(found[i]->name()), ")");
  }
  if (found.size() > kNamed) absl::StrAppend(&text, " and ", found.size() - kNamed, " more");
  return absl::InvalidArgumentError(text);
}

}  // namespace

absl::StatusOr<v1::Vm> ChooseVm(const v1::ListVmsResponse& list, const std::string& wanted) {
  if (wanted.empty()) return absl::InvalidArgumentError("the VM's name is empty");
  const Matches ways[] = {
      [&](const v1::Vm& vm) { return absl::StrCat(vm.vm_id()) == wanted; },
      [&](const v1::Vm& vm) { return vm.name() == wanted || vm.uuid() == wanted; },
      [&](const v1::Vm& vm) {
        return absl::StartsWith(absl::StrCat(vm.vm_id()), wanted) ||
               absl::StartsWith(vm.name(), wanted) || absl::StartsWith(vm.uuid(), wanted);
      },
  };
  for (const Matches& way : ways) {
    const std::vector<const v1::Vm*> found = Find(list, way);
    if (found.size() == 1) return *found.front();
    if (found.size() > 1) return Ambiguous(wanted, found);
  }
  return absl::NotFoundError(absl::StrCat("no VM ", wanted, " here; see lockhost vms"));
}

}  // namespace lockhost::cli
