# Run by cpack on what it has installed, before it makes the package: what Debian wants elsewhere, or
# compressed, or beside it.

# Without dpkg-shlibdeps, CPack would make a package that depends on nothing, and say so in passing.
foreach(program dpkg-shlibdeps file)
  unset(found)
  find_program(found ${program} NO_CACHE)
  if(NOT found)
    message(FATAL_ERROR "${program} is not installed, and tells what the package depends on; "
      "run as root: apt-get install dpkg-dev file")
  endif()
endforeach()

set(root ${CPACK_TEMPORARY_DIRECTORY})
set(doc ${root}/usr/share/doc/calib-cleanup)

# The administrator's copy; under /etc, dpkg never overwrites what was changed.
file(MAKE_DIRECTORY ${root}/etc/calib-cleanup)
file(RENAME ${doc}/examples/calib-cleanup.toml ${root}/etc/calib-cleanup/calib-cleanup.toml)

file(MAKE_DIRECTORY ${root}/usr/share/zsh/vendor-completions)
file(RENAME ${root}/usr/share/zsh/site-functions/_calib-cleanup
  ${root}/usr/share/zsh/vendor-completions/_calib-cleanup)
file(REMOVE_RECURSE ${root}/usr/share/zsh/site-functions)

file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright ${CMAKE_CURRENT_LIST_DIR}/changelog
  DESTINATION ${doc})
# Without a time stamp: the same sources make the same package.
execute_process(COMMAND gzip --best --no-name
  ${doc}/changelog ${doc}/README.md ${root}/usr/share/man/man8/calib-cleanup.8
  COMMAND_ERROR_IS_FATAL ANY)
