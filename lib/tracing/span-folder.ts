/** On every host: a process keeps its spans here, if the folder is there; `kubreak trace` reads them. */
export const SPAN_FOLDER = '/var/log/kubreak';
/** Variable that names another folder. */
export const SPAN_FOLDER_VARIABLE = 'KUBREAK_SPAN_FOLDER';
/** Of the control plane's processes in containers of their own: on the volume that they share with their master. */
export const CONTROL_PLANE_SPAN_FOLDER = '/var/lib/kubreak/control-plane/spans';
