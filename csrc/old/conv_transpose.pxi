# Transposed convolution: conv2d's gradients with the roles exchanged. What conv2d calls dx is y here, and x is its dy.


def conv_transpose2d(x, weight, bias, stride, padding, output_padding, dilation, groups):
    (top, bottom), (left, right) = padding
    oh = (x.shape[2] - 1) * stride[0] + dilation[0] * (weight.shape[2] - 1) + 1 + output_padding[0] - top - bottom
    ow = (x.shape[3] - 1) * stride[1] + dilation[1] * (weight.shape[3] - 1) + 1 + output_padding[1] - left - right
    return data_gradient(
        x, weight, bias, (x.shape[0], weight.shape[1] * groups, oh, ow), stride, (top, left), dilation, groups
    )


def conv_transpose2d_backward(dy, x, weight, stride, padding, dilation, groups, need_dx):
    top_left = (padding[0][0], padding[1][0])
    dx = correlate(dy, weight, None, x.shape, stride, top_left, dilation, groups, None, None) if need_dx else None
    dweight, _ = weight_gradient(x, dy, weight.shape, stride, top_left, dilation, groups)
    dbias = zeros((dy.shape[1],), dy)
    if dy.size:
        channel_sums(dy, dbias)
    return dx, dweight, dbias
