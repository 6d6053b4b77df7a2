# Read by cpack for each kind of package: what a tarball has otherwise than Debian's. It is unpacked
# into a prefix, /usr/local say, as cmake --install fills it.
if(CPACK_GENERATOR STREQUAL "TGZ")
  set(CPACK_PACKAGING_INSTALL_PREFIX "/")
  set(CPACK_PRE_BUILD_SCRIPTS "")
endif()
